//! Several devices of one person, and the remote they share.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::way::Host;
pub use crate::way::Way;
use crate::{Device, Home, Remote, SAVED_WITHIN, Writer, files};

/// A world in which the first device runs, has a vault, and has saved the first turn of one conversation.
#[derive(Debug)]
pub struct Opened {
    /// The world.
    pub world: World,
    /// The vault's recovery phrase.
    pub phrase: String,
    /// What writes the conversation.
    pub writer: Writer,
}

impl Opened {
    /// Makes such a world.
    #[track_caller]
    pub fn new(names: &[&str], way: Way) -> Self {
        Self::of(World::new(names, way))
    }

    /// Lets the first device of `world` begin.
    #[track_caller]
    pub fn of(mut world: World) -> Self {
        let first = &mut world.devices[0];
        first.start();
        let phrase = first.init();
        let mut writer = first.writer(1);
        writer.turn();
        first.saved_eventually(writer.session(), writer.total_bytes(), SAVED_WITHIN);
        Self { world, phrase, writer }
    }
}

/// Devices that share nothing but the remote; everything is removed at the end.
#[derive(Debug)]
pub struct World {
    /// The devices, in the order of their names in [`World::new`]. Before the folder, so that they end first.
    pub devices: Vec<Device>,
    /// What serves the bare repository.
    pub host: Host,
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
        let host = Host::start(way, &dir.join("host"), &remote);
        let roots: Vec<PathBuf> = names.iter().map(|name| dir.join(name)).collect();
        // All of them first: a folder that is hidden must exist.
        roots.iter().for_each(|root| files::make_dir(root));
        let device = |(index, name): (usize, &&str)| {
            let mut home = Home::create(&roots[index], name, project_path(index));
            home.hide(roots.iter().filter(|root| **root != roots[index]).cloned().collect());
            host.admit(&mut home, &remote);
            give_repository(&home, &host.url(&remote), index == 0);
            Device::new(home)
        };
        let devices = names.iter().enumerate().map(device).collect();
        Self { devices, host, remote, place }
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
fn give_repository(home: &Home, url: &str, first: bool) {
    home.git(&["init", "--quiet"]).ok();
    home.git(&["remote", "add", "origin", url]).ok();
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
