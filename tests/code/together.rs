//! Work trees that one resume changes, and the undo that takes all of it back.

use std::path::Path;

use convosync_core::checkout::{
    self, Member, Opened, Past, Prepared, Restoring, Together, bind_planned, bind_undo, changed,
    together,
};

use convosync_tests::files;

use super::look::look;
use super::states::Place;
use super::trip::{Device, onward};

/// Three clones of which the first has work that goes into both others.
fn place() -> Place {
    let place = Place::new();
    place.git("b", &["clone", "-q", ".", "../c"]);
    place.write("a/untracked.txt", "a's\n");
    place
}

/// Looks at everything at a time, which tells a record from a later one with its number.
fn plan<'a>(device: &'a Device, opened: &'a Opened, now_ms: i64) -> Prepared<'a> {
    let restoring = device.restoring(opened, true);
    let place = checkout::Place { now_ms, ..restoring.place };
    Restoring { place, ..restoring }.plan().unwrap()
}

fn ask(here: &Device, there: &Device) -> Together {
    let newest_of = |root: &Path| -> Option<Member> {
        (root == there.project.root).then(|| changed(there.place()).ok()).flatten()
    };
    together(here.place(), &newest_of).unwrap()
}

#[test]
fn what_was_changed_together_is_taken_back_together_and_what_was_changed_again_since_is_not() {
    let place = place();
    let [a, b, c] = ["a", "b", "c"].map(|clone| Device::new(&place, clone));
    let opened = a.save(&place.path("log"));
    let alone = Together { is_here: true, ..Together::default() };
    assert_eq!(ask(&b, &c), alone, "nothing was changed yet");

    let (first, second) = (plan(&b, &opened, 1), plan(&c, &opened, 1));
    bind_planned(&[&first, &second]).unwrap();
    first.apply(&onward).unwrap();
    second.apply(&onward).unwrap();
    let both =
        |other: &Device| Together { others: vec![other.project.root.clone()], ..alone.clone() };
    assert_eq!(ask(&b, &c), both(&c));
    assert_eq!(ask(&c, &b), both(&b));

    place.write("a/untracked.txt", "a's, later\n");
    plan(&c, &a.save(&place.path("log")), 2).apply(&onward).unwrap();
    let moved_on = vec![c.project.root.clone()];
    assert_eq!(ask(&b, &c), Together { moved_on, ..alone.clone() });
    assert_eq!(ask(&c, &b), alone, "its newest change is another");
}

#[test]
fn a_resume_that_was_stopped_between_two_work_trees_is_taken_back_as_far_as_it_came() {
    let place = place();
    let [a, b, c] = ["a", "b", "c"].map(|clone| Device::new(&place, clone));
    let opened = a.save(&place.path("log"));
    let (before, as_it_was) = (look(&place, "b"), look(&place, "c"));

    let (first, second) = (plan(&b, &opened, 1), plan(&c, &opened, 1));
    bind_planned(&[&first, &second]).unwrap();
    first.apply(&onward).unwrap();
    drop(second);
    let untouched = vec![c.project.root.clone()];
    let alone = Together { is_here: true, untouched, ..Together::default() };
    assert_eq!(ask(&b, &c), alone, "nothing was done in the second one");
    let others = vec![b.project.root.clone()];
    let found = Together { others, ..Together::default() };
    assert_eq!(ask(&c, &b), found, "it leads to the first one");

    // A later resume of the second one alone, whose record has the number that was free.
    plan(&c, &opened, 2).apply(&onward).unwrap();
    let found = ask(&b, &c);
    assert_eq!(found.others, Vec::<std::path::PathBuf>::new(), "it is not this resume's");
    b.undo().unwrap();
    c.undo().unwrap();
    assert_eq!((look(&place, "b"), look(&place, "c")), (before, as_it_was));
}

#[test]
fn an_undo_that_was_stopped_between_two_work_trees_is_gone_on_with_and_counts_as_one() {
    let place = place();
    let [a, b, c] = ["a", "b", "c"].map(|clone| Device::new(&place, clone));
    let opened = a.save(&place.path("log"));
    let (first, second) = (plan(&b, &opened, 1), plan(&c, &opened, 1));
    bind_planned(&[&first, &second]).unwrap();
    first.apply(&onward).unwrap();
    second.apply(&onward).unwrap();

    let [of_b, of_c] = [&b, &c].map(|device| Past::newest(device.place()).unwrap());
    let at = |device| checkout::Place { now_ms: 2, ..Device::place(device) };
    let (first, second) = (of_b.plan(at(&b)).unwrap(), of_c.plan(at(&c)).unwrap());
    let members = [&first, &second].map(|prepared| prepared.member().unwrap());
    let undoing = bind_undo(&b.records, members.to_vec()).unwrap().unwrap();
    first.apply(&onward).unwrap();
    drop(second);

    let found = ask(&b, &c);
    let [root_of_b, root_of_c] = [&b, &c].map(|device| vec![device.project.root.clone()]);
    assert_eq!((found.goes_on, found.is_here, found.others), (true, false, root_of_c.clone()));
    assert_eq!(found.done, members[..1]);
    let found = ask(&c, &b);
    assert_eq!((found.goes_on, found.is_here, found.others), (true, true, vec![]));

    let of_c = Past::newest(c.place()).unwrap();
    of_c.plan(at(&c)).unwrap().apply(&onward).unwrap();
    let whole =
        |others: &[_]| Together { is_here: true, others: others.to_vec(), ..Together::default() };
    assert_eq!(ask(&b, &c), whole(&root_of_c), "it came to its end, though nobody noted that");
    undoing.end(members.to_vec()).unwrap();
    assert_eq!(ask(&c, &b), whole(&root_of_b));
}

#[test]
fn a_work_tree_that_was_as_it_should_be_has_nothing_to_take_back_and_leads_to_the_others() {
    let place = place();
    let [a, b, c] = ["a", "b", "c"].map(|clone| Device::new(&place, clone));
    let opened = a.save(&place.path("log"));
    b.restore(&opened, true).unwrap();

    let (first, second) = (plan(&b, &opened, 1), plan(&c, &opened, 1));
    bind_planned(&[&first, &second]).unwrap();
    first.apply(&onward).unwrap();
    second.apply(&onward).unwrap();
    let found = ask(&b, &c);
    assert_eq!((found.is_here, found.others), (false, vec![c.project.root.clone()]));

    files::write(&b.records.join("together/1"), "damaged");
    assert!(ask(&b, &c).is_here, "each is taken back by its own");
}
