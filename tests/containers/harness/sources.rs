//! The source files below a folder of this project, for tests that read them.

use std::fs;
use std::path::Path;

/// A path below the folder, and the text.
pub type Source = (String, String);

/// All of them at any depth, in the order of their paths.
pub fn sources(folder: &str) -> Vec<Source> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    let mut folders = vec![folder.clone()];
    while let Some(next) = folders.pop() {
        let entries = fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display()));
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                // Cargo's mark of a folder that it builds in.
                if !path.join("CACHEDIR.TAG").exists() {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let below = path.strip_prefix(&folder).expect("a path below").to_str().expect("text");
                found.push((below.to_owned(), fs::read_to_string(&path).expect("source")));
            }
        }
    }
    found.sort();
    found
}
