//! From a partner's segment texts to the traits that stand for them: those of the partner's data source whose
//! integration code or id equals the text.

use crate::ids::TraitId;

/// Sorted texts, each with its trait; looked up by bisection.
#[derive(Clone, Debug, Default)]
pub struct SegmentTraits {
    texts: Vec<Box<[u8]>>,
    traits: Vec<TraitId>,
}

impl SegmentTraits {
    pub fn new(mut pairs: Vec<(String, TraitId)>) -> SegmentTraits {
        pairs.sort_unstable();
        pairs.dedup();
        SegmentTraits {
            traits: pairs.iter().map(|(_, trait_id)| *trait_id).collect(),
            texts: pairs.into_iter().map(|(text, _)| text.into_bytes().into_boxed_slice()).collect(),
        }
    }

    /// The traits of a segment, ascending: usually none or one; two when one trait's integration code is another's id.
    pub fn of(&self, segment: &[u8]) -> &[TraitId] {
        let start = self.texts.partition_point(|text| &text[..] < segment);
        let len = self.texts[start..].iter().take_while(|text| &text[..] == segment).count();
        &self.traits[start..start + len]
    }

    pub fn len(&self) -> usize {
        self.texts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups() {
        let pairs = [("b", 2), ("12", 7), ("a", 9), ("a", 3), ("12", 7)];
        let traits = SegmentTraits::new(pairs.iter().map(|(text, id)| ((*text).to_owned(), TraitId(*id))).collect());
        assert_eq!(traits.len(), 4);
        assert_eq!(traits.of(b"a"), [TraitId(3), TraitId(9)]);
        assert_eq!(traits.of(b"12"), [TraitId(7)]);
        for unknown in ["", "1", "c", "123"] {
            assert_eq!(traits.of(unknown.as_bytes()), []);
        }
    }
}
