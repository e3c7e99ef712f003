//! Text with macros.
