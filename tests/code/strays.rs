//! What a capture or a restore takes for something else: another device's log, a folder behind a link, a
//! repository of the user's, a small log with a large work tree.

use convosync_core::capture::Spool;
use convosync_tests::files;

use super::observer::{Observer, check_objects, check_tree};
use super::states::Place;

#[test]
fn a_log_that_went_on_on_another_device_does_not_pass_for_what_stands_here() {
    let place = Place::new();
    place.write("b/mine.txt", "mine\n");
    place.git("b", &["add", "."]);
    place.git("b", &["commit", "-q", "-m", "mine"]);
    place.write("b/src/lib.txt", "edited on b\n");
    let mut b = Observer::new(&place, "b");
    b.capture();
    files::write(&place.path("a.log"), files::read(b.spool.path()));
    place.write("a/src/lib.txt", "edited on a, at more length\n");
    let mut a = Observer::new(&place, "a");
    a.capture();

    files::write(b.spool.path(), files::read(a.spool.path()));
    b.spool = Spool::open(b.spool.path()).unwrap();
    let state = b.capture().state;

    check_tree(&b, &state);
    check_objects(&b, &state);
}
