//! What passes without the user: told in `status` while it lasts, and over by itself.

use std::time::Duration;

use convosync_tests::host::{Answer, Host};
use convosync_tests::web::Certificate;
use convosync_tests::world::Way;
use convosync_tests::{World, eventually, skip};
use serde_json::Value;

use super::{Stage, notified};
use crate::SAVED_WITHIN;

/// A host that asks for fewer requests is left alone for about a minute.
const LIMITED_WITHIN: Duration = Duration::from_secs(150);

impl Stage {
    /// Writes a turn and waits until `status` says why it is only here, in one line and with a way out.
    #[track_caller]
    fn ails(&mut self, what: &str, cause: &str) {
        self.writer.turn();
        let problem =
            eventually(&format!("{what} stands in status as `{cause}`"), SAVED_WITHIN, || {
                let project = self.project();
                let says = project["problem"]["message"].as_str()?.contains(cause);
                (says && project["sync"] == "saved-locally").then(|| project["problem"].clone())
            });
        let message = problem["message"].as_str().expect("it says something");
        assert!(!message.contains('\n'), "{what}: {message}");
        assert!(problem["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{what}: {problem}");
        let known = self.ada().session(self.writer.session()).expect("it is saved here");
        assert_eq!(known["total_bytes"], self.writer.total_bytes(), "{what}: saves go on");
    }

    /// Everything arrives without anybody's doing.
    #[track_caller]
    fn passes(&self, within: Duration) {
        let (session, bytes) = (self.writer.session(), self.writer.total_bytes());
        self.ada().saved_eventually(session, bytes, within);
        eventually("no problem is left", SAVED_WITHIN, || {
            self.project()["problem"].is_null().then_some(())
        });
    }
}

fn over_http() -> (Stage, Host) {
    let mut host = None;
    let stage = Stage::new(|world| {
        let served = Host::start(world.remote.folder());
        let url = served.url("app.git");
        world.devices[0].home.git(&["remote", "set-url", "origin", &url]).ok();
        host = Some(served);
    });
    (stage, host.expect("it was started"))
}

/// Does it with each of `cases` at the same time: what takes long here is waiting.
fn side_by_side<T: Send>(cases: impl IntoIterator<Item = T>, check: impl Fn(T) + Copy + Send) {
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || check(case));
        }
    });
}

#[test]
fn an_error_of_the_hosts_own_is_told_and_over_by_itself() {
    side_by_side([[500, 502], [503, 504]], |errors| {
        let (mut stage, host) = over_http();
        for status in errors {
            host.answer(Answer::Refuse(status, ""));
            stage.ails(&status.to_string(), &format!("returned error: {status}"));
            host.answer(Answer::Serve);
            stage.passes(SAVED_WITHIN);
        }
        assert_eq!(notified(stage.ada()), Vec::<String>::new(), "nobody has to do anything");
    });
}

#[test]
fn a_host_that_has_too_many_requests_is_told_and_asked_again_after_a_while() {
    side_by_side([Answer::Refuse(429, ""), Answer::Limit(5)], |answer| {
        let (mut stage, host) = over_http();
        host.answer(answer.clone());
        stage.ails(&format!("{answer:?}"), "returned error: 429");
        host.answer(Answer::Serve);
        stage.passes(LIMITED_WITHIN);
        assert_eq!(notified(stage.ada()), Vec::<String>::new(), "nobody has to do anything");
    });
}

#[test]
fn a_certificate_that_is_not_good_is_told_once_and_over_when_it_is() {
    if let Some(program) = Way::Https.missing() {
        return skip::report(&format!("`{program}` is not installed"));
    }
    let Some(_) = skip::unless_on_path("faketime") else { return };
    let cases: [&[Certificate]; 2] =
        [&[Certificate::Expired, Certificate::OfAnotherHost], &[Certificate::OfAnotherAuthority]];
    side_by_side(cases, check_certificates);
}

/// One device whose host shows these certificates one after the other, and a good one after each.
fn check_certificates(bad_ones: &[Certificate]) {
    let mut stage = Stage::of(World::new(&["ada"], Way::Https));
    let repositories = stage.world.remote.folder().to_owned();
    for (number, bad) in bad_ones.iter().copied().enumerate() {
        stage.world.host.web().show(&repositories, bad);
        stage.ails(&format!("{bad:?}"), "the host's certificate is not trusted");
        stage.notified = number + 1;
        stage.notified_eventually(&format!("{bad:?}"), "the host's certificate is not trusted");
        stage.ada().ctl(&["sync", "--retry"]);
        assert_eq!(notified(stage.ada()).len(), number + 1, "{:?}", notified(stage.ada()));
        stage.world.host.web().show(&repositories, Certificate::Good);
        stage.passes(LIMITED_WITHIN);
    }
    assert_eq!(stage.ada().ctl_json(&["status"])["problems"], Value::Array(Vec::new()));
}
