//! Several devices of one person, and the remote they share.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{Device, Home, Remote, files};

/// How the devices reach the remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `file://`.
    File,
    /// `ssh://localhost`, over the stand-in that counts bytes.
    Counted,
}

/// Devices that share nothing but the remote; everything is removed at the end.
#[derive(Debug)]
pub struct World {
    /// The devices, in the order of their names in [`World::new`]. Before the folder, so that they end first.
    pub devices: Vec<Device>,
    /// The bare repository.
    pub remote: Remote,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl World {
    /// Makes one device a name, each with its own user, and its project at another path.
    pub fn new(names: &[&str], way: Way) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("cs")
            .tempdir()
            .expect("the system has a temporary folder");
        Self::build(Place::Temporary(dir), names, way)
    }

    /// Makes the same in `dir`, which stays.
    pub fn kept(dir: &Path, names: &[&str], way: Way) -> Self {
        files::make_dir(dir);
        Self::build(Place::Kept(dir.to_owned()), names, way)
    }

    fn build(place: Place, names: &[&str], way: Way) -> Self {
        let dir = place.dir().canonicalize().expect("the folder was just made");
        let remote = Remote::create(&dir.join("remote/app.git"));
        let roots: Vec<PathBuf> = names.iter().map(|name| dir.join(name)).collect();
        // All of them first: a folder that is hidden must exist.
        roots.iter().for_each(|root| files::make_dir(root));
        let device = |(index, name): (usize, &&str)| {
            let mut home = Home::create(&roots[index], name, project_path(index));
            home.hide(roots.iter().filter(|root| **root != roots[index]).cloned().collect());
            give_repository(&home, &remote, way, index == 0);
            Device::new(home)
        };
        let devices = names.iter().enumerate().map(device).collect();
        Self { devices, remote, place }
    }

    /// Returns the folder that holds everything.
    pub fn dir(&self) -> &Path {
        self.place.dir()
    }

    /// Whether each device's programs see nothing of the other devices' folders.
    pub fn is_isolated(&self) -> bool {
        self.devices.iter().all(|device| device.home.is_isolated())
    }

    /// Returns the first two devices, to be used at once.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn pair(&mut self) -> (&mut Device, &mut Device) {
        let [first, second, ..] = self.devices.as_mut_slice() else {
            panic!("a pair needs two devices")
        };
        (first, second)
    }
}

impl Place {
    fn dir(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(dir) => dir,
        }
    }
}

/// Returns a different path on each device, as people's machines have it.
fn project_path(index: usize) -> &'static str {
    const PATHS: [&str; 4] =
        ["code/app", "work/src/my_app", "app", "Documents/projects/app.git.copy"];
    PATHS[index % PATHS.len()]
}

/// Gives the device its clone: the first one makes the first commit, the others fetch it.
fn give_repository(home: &Home, remote: &Remote, way: Way, first: bool) {
    let url = match way {
        Way::File => remote.file_url(),
        Way::Counted => remote.ssh_url(),
    };
    home.git(&["init", "--quiet"]).ok();
    home.git(&["remote", "add", "origin", &url]).ok();
    if way == Way::Counted {
        remote.count_for(home);
    }
    if first {
        files::write(&home.project().join("README.md"), "# app\n");
        home.git(&["add", "README.md"]).ok();
        home.git(&["commit", "--quiet", "--message", "begin"]).ok();
        home.git(&["push", "--quiet", "--set-upstream", "origin", "main"]).ok();
    } else {
        home.git(&["fetch", "--quiet", "origin"]).ok();
        home.git(&["checkout", "--quiet", "main"]).ok();
    }
}
