//! Containers that install the shim into a volume, and what must be there afterwards.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::harness::container::{Container, Output, built};
use crate::harness::volume::Volume;

pub const INSTALL: [&str; 5] = ["/capshim", "--install", "/shim", "--file-caps", "ipc_lock"];

pub const SAID: &str = "capshim: installed /shim/capshim with IPC_LOCK=p\n";

/// An init container: root with SETFCAP and nothing else, and a volume at /shim.
pub fn init(volume: &Volume) -> Container {
    root(volume).capabilities(&["SETFCAP"])
}

/// The same without any capability.
pub fn root(volume: &Volume) -> Container {
    Container::user(0, 0).read_only().volume(volume.folder(), "/shim", &[])
}

impl Output {
    /// This line and nothing else, and success.
    #[track_caller]
    pub fn installed(&self, line: &str) {
        assert_eq!((self.stderr.as_str(), self.stdout.as_str(), self.code), ("", line, 0));
    }
}

impl Volume {
    /// A whole copy with IPC_LOCK=p, and no other file.
    #[track_caller]
    pub fn has_the_copy(&self) {
        assert_eq!(self.names(), ["capshim"]);
        self.has_copy_at("capshim", "cap_ipc_lock=p");
    }

    #[track_caller]
    pub fn has_copy_at(&self, name: &str, caps: &str) {
        let status = fs::symlink_metadata(self.path(name)).expect("a copy");
        assert_eq!(format!("{:o}", status.mode()), "100755");
        assert_eq!(self.getcap(name), caps);
        assert!(self.content(name) == fs::read(built("capshim")).expect("capshim"), "another content");
    }

    /// With a file that is to be replaced.
    pub fn with_old_file(self) -> Volume {
        self.file("capshim", "old")
    }

    /// That file as it was, and no other.
    #[track_caller]
    pub fn is_untouched(&self) {
        assert_eq!(self.names(), ["capshim"]);
        assert_eq!(self.content("capshim"), b"old");
    }
}
