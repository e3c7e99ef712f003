//! An account's folder traits.

use std::collections::BTreeSet;

use super::super::reader::Faults;
use super::rules::Group;
use crate::ids::TraitId;
use crate::limits::{FOLDER_LEVELS_MAX, FOLDER_TRAITS_MAX};
use crate::segments::{FolderFault, FolderFaultKind, Folders};

/// The folders, and every trait that has to do with one: whether it is there and may be in one was told otherwise, and
/// what names it is not to be blamed.
pub(super) fn compile(group: &Group<'_>, faults: &mut Faults<'_>) -> (Folders, BTreeSet<TraitId>) {
    let children = |entry: &super::file::Trait| -> Vec<TraitId> {
        let children = entry.children.as_ref().map(|children| children.get_ref().as_slice()).unwrap_or_default();
        children.iter().map(|id| TraitId(*id.get_ref())).collect()
    };
    let folders: Vec<(TraitId, Vec<TraitId>)> =
        group.folders.iter().map(|entry| (TraitId(*entry.id.get_ref()), children(entry))).collect();
    let compiled = Folders::compile(&folders).unwrap_or_else(|found| {
        found.iter().for_each(|fault| add(group, fault, faults));
        Folders::default()
    });
    let named = folders.into_iter().flat_map(|(id, children)| children.into_iter().chain([id])).collect();
    (compiled, named)
}

fn add(group: &Group<'_>, fault: &FolderFault, faults: &mut Faults<'_>) {
    let entry = group.folders[fault.folder];
    let Some(child) = entry.children.as_ref().and_then(|children| children.get_ref().get(fault.child)) else { return };
    let (folder, id) = (entry.id.get_ref(), child.get_ref());
    let (message, hint) = match fault.kind {
        FolderFaultKind::Circular => {
            (format!("folder {folder} would be in itself, by way of {id}"), "take one of them out of the other".into())
        }
        FolderFaultKind::TooDeep => {
            let hint = format!("there may be {FOLDER_LEVELS_MAX}; name the traits in a folder further up");
            (format!("{id} makes too many levels of folders"), hint)
        }
        FolderFaultKind::TooLarge => {
            let message = format!("with {id} folder {folder} comes to more than {FOLDER_TRAITS_MAX} traits");
            (message, "split it into several folders".into())
        }
    };
    faults.add(child.span(), message, hint);
}
