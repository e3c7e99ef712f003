//! What is left of a run: a page to read, numbers for programs, histograms for the public HdrHistogram tools, plots.

pub mod histograms;
pub mod json;
pub mod plot;
pub mod summary;

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use crate::run::Run;

/// Writes everything about a run.
///
/// # Errors
/// What could not be written, in words.
pub fn write(run: &Run, folder: &Path, at: SystemTime) -> Result<(), String> {
    let put = |name: &str, bytes: &[u8]| put(folder, name, bytes);
    put("summary.md", summary::page(run).as_bytes())?;
    put("result.json", json::result(run).as_bytes())?;
    for (name, histogram) in histograms::all(&run.outcome) {
        if !histogram.is_empty() {
            put(&format!("{name}.hgrm"), histograms::hgrm(histogram).as_bytes())?;
        }
    }
    put("response.hlog", &histograms::hlog(run, at)?)?;
    put("percentiles.svg", plot::percentiles(run).as_bytes())?;
    put("over-time.svg", plot::over_time(run).as_bytes())
}

/// # Errors
/// What could not be written, in words.
pub fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), String> {
    let path = folder.join(name);
    fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
