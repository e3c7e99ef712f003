//! Folder traits: traits that nothing realises by themselves and that stand for all traits below them.
//!
//! A visitor holds a folder while she holds one of those, as often and as lately as she realised them all together. So
//! a folder in an expression is nothing but a list of the traits that it comes to: it is written out before an
//! expression is compiled, and nothing later knows of it.

use std::collections::{BTreeMap, BTreeSet};

use super::syntax::Expression;
use crate::ids::TraitId;
use crate::limits::{FOLDER_LEVELS_MAX, FOLDER_TRAITS_MAX};

/// The folders of an account, each with the traits that it comes to, however far below.
#[derive(Clone, Debug, Default)]
pub struct Folders(BTreeMap<TraitId, Box<[TraitId]>>);

/// What is wrong with a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderFault {
    /// Index of the folder among those that were compiled.
    pub folder: usize,
    /// Index of the child that is at fault.
    pub child: usize,
    pub kind: FolderFaultKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderFaultKind {
    /// The child is, or holds, one of the folders that the folder is in.
    Circular,
    /// The child makes more than [`FOLDER_LEVELS_MAX`] levels.
    TooDeep,
    /// With the child the folder comes to more than [`FOLDER_TRAITS_MAX`] traits.
    TooLarge,
}

impl Folders {
    /// `folders` are folders and their children, which are folders as well or traits. On failure what is wrong with
    /// each one that is to blame itself.
    pub fn compile(folders: &[(TraitId, Vec<TraitId>)]) -> Result<Folders, Vec<FolderFault>> {
        let places = folders.iter().enumerate().map(|(index, (id, _))| (*id, index)).collect();
        let mut walk = Walk { folders, places, found: vec![None; folders.len()], faults: Vec::new() };
        for folder in 0..folders.len() {
            walk.visit(folder, &mut Vec::new());
        }
        if !walk.faults.is_empty() {
            return Err(walk.faults);
        }
        let traits = walk.found.into_iter().map(|found| found.flatten().unwrap_or_default().traits);
        let ids = folders.iter().map(|(id, _)| *id);
        Ok(Folders(ids.zip(traits.map(|traits| traits.into_iter().collect())).collect()))
    }

    pub fn contains(&self, id: TraitId) -> bool {
        self.0.contains_key(&id)
    }

    /// Writes every folder out.
    pub(super) fn expand(&self, expression: &mut Expression) {
        match expression {
            Expression::Any(parts) | Expression::All(parts) => parts.iter_mut().for_each(|part| self.expand(part)),
            Expression::Not(inner) => self.expand(inner),
            Expression::Term(term) if term.traits.iter().any(|(id, _)| self.contains(*id)) => {
                let written = std::mem::take(&mut term.traits);
                for (id, span) in written {
                    match self.0.get(&id) {
                        Some(below) => term.traits.extend(below.iter().map(|id| (*id, span.clone()))),
                        None => term.traits.push((id, span)),
                    }
                }
            }
            Expression::Term(_) => {}
        }
    }
}

/// What a folder comes to.
#[derive(Clone, Debug, Default)]
struct Found {
    traits: BTreeSet<TraitId>,
    levels: usize,
}

struct Walk<'a> {
    folders: &'a [(TraitId, Vec<TraitId>)],
    places: BTreeMap<TraitId, usize>,
    /// Of each folder that was walked; `Some(None)`: it, or one in it, is at fault.
    found: Vec<Option<Option<Found>>>,
    faults: Vec<FolderFault>,
}

impl Walk<'_> {
    /// `above` are the folders on the way here, fewer than there may be levels.
    fn visit(&mut self, folder: usize, above: &mut Vec<usize>) {
        if self.found[folder].is_some() {
            return;
        }
        let mut whole = Some(Found { levels: 1, ..Found::default() });
        above.push(folder);
        for child in 0..self.folders[folder].1.len() {
            let below = self.below(folder, child, above);
            whole = match (whole, below) {
                (Some(whole), Some(below)) => self.joined(folder, child, whole, below),
                _ => None,
            };
        }
        above.pop();
        self.found[folder] = Some(whole);
    }

    /// What a child comes to.
    fn below(&mut self, folder: usize, child: usize, above: &mut Vec<usize>) -> Option<Found> {
        let id = self.folders[folder].1[child];
        let Some(&place) = self.places.get(&id) else {
            return Some(Found { traits: BTreeSet::from([id]), levels: 0 });
        };
        let fault = |kind| FolderFault { folder, child, kind };
        if above.contains(&place) {
            self.faults.push(fault(FolderFaultKind::Circular));
            return None;
        }
        if above.len() == FOLDER_LEVELS_MAX {
            self.faults.push(fault(FolderFaultKind::TooDeep));
            return None;
        }
        self.visit(place, above);
        self.found[place].clone().flatten()
    }

    fn joined(&mut self, folder: usize, child: usize, mut whole: Found, below: Found) -> Option<Found> {
        whole.levels = whole.levels.max(below.levels + 1);
        whole.traits.extend(below.traits);
        let kind = match () {
            _ if whole.levels > FOLDER_LEVELS_MAX => FolderFaultKind::TooDeep,
            _ if whole.traits.len() > FOLDER_TRAITS_MAX => FolderFaultKind::TooLarge,
            _ => return Some(whole),
        };
        self.faults.push(FolderFault { folder, child, kind });
        None
    }
}
