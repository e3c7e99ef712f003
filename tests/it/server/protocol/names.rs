//! Names for what is random in answers, so that recorded ones stay the same and later requests can use it.

/// Digits of a visitor's id or an ECID.
const ID_DIGITS: usize = 38;

/// What answers told so far.
pub struct Names {
    /// Ids that stand in the file itself: they are not random.
    literal: Vec<String>,
    ids: Vec<String>,
    blobs: Vec<String>,
}

impl Names {
    pub fn new(file: &str) -> Names {
        Names { literal: ids(file).map(str::to_owned).collect(), ids: Vec::new(), blobs: Vec::new() }
    }

    /// As if answers had told some.
    pub fn made_up() -> Names {
        let ids = (1..=8).map(|number| format!("{number:038}")).collect();
        Names { literal: Vec::new(), ids, blobs: vec!["blob".to_owned(); 8] }
    }

    /// Text in which everything random is replaced by its name.
    pub fn hide(&mut self, text: &str) -> String {
        let mut shown = text.to_owned();
        for id in ids(text).filter(|id| !self.literal.iter().any(|literal| literal == id)) {
            let number = place(&mut self.ids, id);
            shown = shown.replace(id, &format!("{{id {number}}}"));
        }
        if let Some((_, rest)) = text.split_once("\"d_blob\":\"")
            && let Some((blob, _)) = rest.split_once('"')
        {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            assert!(blob.len() <= 512 && blob.bytes().all(is_plain), "clients send it back raw: {blob}");
            let number = place(&mut self.blobs, blob);
            shown = shown.replace(blob, &format!("{{blob {number}}}"));
        }
        shown
    }

    /// What `{KIND NUMBER}` stands for.
    pub fn find(&self, name: &str) -> Option<&str> {
        let (kind, number) = name.split_once(' ')?;
        let list = match kind {
            "id" => &self.ids,
            "blob" => &self.blobs,
            _ => return None,
        };
        let number: usize = number.parse().ok()?;
        Some(list.get(number - 1).unwrap_or_else(|| panic!("no answer told {{{name}}} yet")))
    }
}

/// The number of a text in a list, from 1; a new one is added.
fn place(list: &mut Vec<String>, text: &str) -> usize {
    if let Some(at) = list.iter().position(|known| known == text) {
        return at + 1;
    }
    list.push(text.to_owned());
    list.len()
}

/// Runs of exactly so many digits.
fn ids(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_digit()).filter(|digits| digits.len() == ID_DIGITS)
}
