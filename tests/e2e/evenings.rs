//! The workflows of the specification, and the one of the plugin before it, as evenings of one person: three
//! devices with their daemons, their clones, and the real client.

use convosync_tests::api::{Api, Request};
use convosync_tests::claude::Client;
use convosync_tests::work::{seen, write};
use convosync_tests::world::Way;
use convosync_tests::{Device, Run, World, files, program};

use crate::SAVED_WITHIN;
use crate::terminal::{ENTER, Terminal};

const SESSION: &str = "3c9d1f6e-2b47-4d0a-8f51-6a0e9b7c4d21";

/// What the first device says, and every other one has to know.
const SAID: &str = "We build OAuth. By the way, my favorite pizza is Margherita";

struct Evening {
    client: Client,
    api: Api,
    world: World,
}

impl Evening {
    /// Three devices of one vault; none where the real client is not installed.
    fn begin(names: &[&str; 3]) -> Option<Self> {
        let client = Client::find_or_skip()?;
        let mut world = World::new(names, Way::Any);
        let [first, others @ ..] = world.devices.as_mut_slice() else { panic!("three devices") };
        first.start();
        let told = first.watch();
        let phrase = first.init();
        // Its card, by which the others find the vault, is sent after the answer.
        told.expect("on-remote", SAVED_WITHIN);
        for device in others {
            device.start();
            device.join(&phrase);
        }
        Some(Self { client, api: Api::start(), world })
    }

    fn device(&self, index: usize) -> &Device {
        &self.world.devices[index]
    }

    /// Begins the conversation on a device.
    #[track_caller]
    fn say(&self, index: usize) {
        self.client.say(&self.device(index).home, &self.api, SESSION, SAID).ok();
    }

    /// Goes on with it on a device, and returns what the client sent of it and what it was answered.
    #[track_caller]
    fn ask(&self, index: usize, question: &str) -> Said {
        self.api.take_messages();
        let answer = self.client.resume(&self.device(index).home, &self.api, SESSION, question);
        Said { sent: self.sent(question), answer: answer.ok().text() }
    }

    /// The conversation that the client sent with a question.
    #[track_caller]
    fn sent(&self, question: &str) -> String {
        let sent = self.api.take_messages().iter().map(Request::conversation).collect::<Vec<_>>();
        let asked = sent.iter().find(|sent| sent.contains(question)).cloned();
        asked.unwrap_or_else(|| panic!("`{question}` was sent: {sent:?}"))
    }
}

/// A question with the conversation before it, and its answer.
struct Said {
    sent: String,
    answer: String,
}

impl Said {
    /// Panics unless the conversation that was sent holds all of this, in this order.
    #[track_caller]
    fn knows(&self, words: &[&str]) {
        let mut rest = self.sent.as_str();
        for word in words {
            let at = rest.find(word).unwrap_or_else(|| panic!("`{word}`: {}", self.sent));
            rest = &rest[at + word.len()..];
        }
        assert!(self.answer.contains("Margherita"), "{}", self.answer);
    }
}

#[track_caller]
fn git(device: &Device, words: &[&str]) -> String {
    device.home.git(words).ok().text()
}

fn head(device: &Device) -> String {
    git(device, &["rev-parse", "HEAD"])
}

#[track_caller]
fn assert_says(run: &Run, lines: &[&str]) {
    let text = format!("{}{}", run.text(), run.errors());
    lines.iter().for_each(|line| assert!(text.contains(line), "{line}: {run}"));
}

/// Chooses the newest session from the list, as a person does who types `resume` and nothing else.
#[track_caller]
fn pick(device: &Device, title: &str) {
    let mut terminal = Terminal::open(device, &["resume"]);
    terminal.sees(&format!("Which session\\?(?s).*{title}"));
    terminal.types(ENTER);
    assert_eq!(terminal.ends(), 0);
}

/// Workflow 1: start on the desktop, go on with the phone on the way, come back.
#[test]
fn from_the_desktop_to_the_phone_and_back() {
    let Some(evening) = Evening::begin(&["desktop", "mobile", "tablet"]) else { return };
    let (desktop, mobile) = (evening.device(0), evening.device(1));
    evening.say(0);
    write(desktop, "src/oauth.js", "login()\n");
    let saved = desktop.ctl(&["save", "Implemented OAuth, need to add Google provider"]).ok();
    let next = format!("Next: convosyncctl resume {}", &SESSION[..8]);
    assert_says(&saved, &["committed", "pushed to origin/main", &next]);

    pick(mobile, "Implemented OAuth");
    assert_eq!(seen(mobile), seen(desktop));
    let said = evening.ask(1, "Add Google OAuth provider");
    said.knows(&[SAID, "Add Google OAuth provider"]);
    write(mobile, "src/google.js", "provider()\n");
    let saved = mobile.ctl(&["save", "Added Google OAuth provider"]).ok();
    assert_says(
        &saved,
        &["committed 1 new file", "pushed to origin/main", "will be seen by ", "desktop"],
    );

    let resumed = desktop.ctl(&["resume"]).ok();
    assert_eq!((seen(desktop), head(desktop)), (seen(mobile), head(mobile)), "{resumed}");
    evening.ask(0, "And now?").knows(&[SAID, "Add Google OAuth provider", "And now?"]);
}

/// Workflow 2: an idea on a branch is saved, looked at elsewhere, and given up.
#[test]
fn an_experiment_is_reviewed_elsewhere_and_given_up() {
    const BRANCH: &str = "experiment/new-auth-flow";
    let Some(evening) = Evening::begin(&["desktop", "mobile", "tablet"]) else { return };
    let (desktop, mobile) = (evening.device(0), evening.device(1));
    let main = head(desktop);
    git(desktop, &["checkout", "-q", "-b", BRANCH]);
    evening.say(0);
    write(desktop, "src/flow.js", "no good\n");
    let saved = desktop.ctl(&["save", "Experimenting with new auth flow"]).ok();
    assert_says(&saved, &[&format!("pushed to origin/{BRANCH}")]);

    mobile.ctl(&["list", "--refresh"]).ok();
    let listed = mobile.ctl_json(&["list", "--branch", BRANCH]);
    assert_eq!(listed["sessions"][0]["session"], SESSION, "{listed}");
    let none = mobile.ctl_json(&["list", "--branch", "main"]);
    assert_eq!(none["sessions"].as_array().map(Vec::len), Some(0), "{none}");
    let before = seen(mobile);
    let read = mobile.ctl(&["resume", "--read-only"]).ok();
    assert_says(&read, &[SAID]);
    assert_eq!(seen(mobile), before);
    let resumed = mobile.ctl(&["resume"]);
    assert_eq!(resumed.status.code(), Some(4), "{resumed}");
    mobile.ctl(&["resume", "--switch-branch"]).ok();
    assert_eq!(git(mobile, &["branch", "--show-current"]), BRANCH);
    assert_eq!(seen(mobile), seen(desktop));
    evening.ask(1, "Is this a good idea?").knows(&[SAID]);
    mobile.ctl(&["undo"]).ok();
    assert_eq!(seen(mobile), before);

    git(desktop, &["checkout", "-q", "main"]);
    git(desktop, &["branch", "-q", "-D", BRANCH]);
    assert_eq!(head(desktop), main);
    assert_eq!(
        git(desktop, &["ls-remote", "origin", "refs/heads/main"]),
        format!("{main}\trefs/heads/main")
    );
}

/// Workflow 3: the desktop for work, the tablet for reading, the phone for a quick fix.
#[test]
fn three_devices_work_read_and_mend() {
    let Some(evening) = Evening::begin(&["desktop", "tablet", "mobile"]) else { return };
    let (desktop, tablet, mobile) = (evening.device(0), evening.device(1), evening.device(2));
    evening.say(0);
    write(desktop, "src/auth.js", "endpoints()\n");
    desktop.ctl(&["save", "Added user auth endpoints"]).ok();

    let before = (seen(tablet), files::under(&tablet.home.claude_dir()));
    let read = tablet.ctl(&["resume", "--read-only"]).ok();
    assert_says(&read, &[SAID, "Margherita"]);
    assert_eq!((seen(tablet), files::under(&tablet.home.claude_dir())), before);

    pick(mobile, "Added user auth endpoints");
    evening.ask(2, "Fix that timeout issue we discussed").knows(&[SAID]);
    write(mobile, "src/auth.js", "endpoints({ timeout: 30 })\n");
    let saved = mobile.ctl(&["save", "Fixed auth timeout"]).ok();
    assert_says(&saved, &["committed 1 changed file", "pushed to origin/main"]);

    desktop.ctl(&["resume"]).ok();
    assert_eq!(seen(desktop), seen(mobile));
    assert_eq!(git(desktop, &["log", "-1", "--format=%s"]), "Fixed auth timeout [ConvoSync]");
    evening.ask(0, "Thanks").knows(&[SAID, "Fix that timeout issue we discussed", "Thanks"]);
    let read = tablet.ctl(&["resume", "--read-only"]).ok();
    assert_says(&read, &["Fix that timeout issue we discussed"]);
}

/// The plugin's workflow: one after the other, and the last one knows what both before it did. Nobody saves:
/// that is what the daemon is for.
#[test]
fn the_third_device_knows_what_both_before_it_did_though_nobody_saved() {
    let Some(evening) = Evening::begin(&["desktop", "mobile", "laptop"]) else { return };
    let (desktop, mobile, laptop) = (evening.device(0), evening.device(1), evening.device(2));
    write(desktop, "src/oauth.js", "core()\n");
    evening.say(0);
    desktop.transcript_saved_eventually(SESSION, SAVED_WITHIN);

    mobile.ctl(&["resume"]).ok();
    assert_eq!(seen(mobile), seen(desktop));
    write(mobile, "src/errors.js", "handle()\n");
    evening.ask(1, "Now the errors").knows(&[SAID]);
    mobile.transcript_saved_eventually(SESSION, SAVED_WITHIN);

    // `eval "$(convosyncctl resume --shell)"` in a shell of the laptop, with a question for the client.
    let script = format!(
        "claude() {{ command claude \"$@\" -p 'What was done?'; }}; \
         cd / && eval \"$('{}' resume --shell {SESSION})\"",
        program::binary("convosyncctl").display()
    );
    evening.api.take_messages();
    let mut shell = evening.client.shell(&laptop.home, &evening.api);
    let answer = program::run(shell.args(["-c", &script]), b"", program::DEADLINE).ok().text();
    let said = Said { sent: evening.sent("What was done?"), answer };
    said.knows(&[SAID, "Now the errors", "What was done?"]);
    assert_eq!(seen(laptop), seen(mobile));
    for device in [desktop, mobile, laptop] {
        assert_eq!(git(device, &["log", "--format=%s"]), "begin", "nobody committed");
    }
}
