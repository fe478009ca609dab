//! Lines that were typed into the shell: told once, and by every full record.

use convosync_core::history::FULL_RECORD_EVERY;
use convosync_core::shell_history::{AFTER_MS, ShellLine, ShellLines};

use crate::bench::bench;
use crate::device::session;

/// When the conversation begins, in Unix milliseconds, and as it writes it.
const BEGINS_MS: i64 = 1_700_000_000_000;
const BEGINS: &str = "2023-11-14T22:13:20Z";

#[test]
fn lines_are_told_once_and_by_every_full_record_and_on_other_devices() {
    let mut bench = bench(2);
    let device = bench.devices[0].vault.device();
    let line = |seconds: i64, text: &str| ShellLine {
        at_ms: BEGINS_MS + 1_000 * seconds,
        device,
        text: text.to_owned(),
    };
    let before = line(-1, "before the session");
    let after = line(1 + AFTER_MS / 1_000, "long after its last message");
    let (early, late) = (line(1, "make"), line(9, "make test"));
    let mut transcript = format!("{{\"timestamp\":\"{BEGINS}\"}}\n");
    bench.devices[0].typed = ShellLines::from([before, early.clone(), after]);
    for number in 1..=FULL_RECORD_EVERY + 2 {
        transcript.push_str("{}\n");
        bench.write(0, transcript.as_bytes());
        bench.save(0);
        let desk = &mut bench.devices[0].desk;
        let told = desk.base_of(&session()).expect("it was saved").record;
        assert_eq!(told.number, number);
        let expected =
            if told.full { ShellLines::from([early.clone()]) } else { ShellLines::new() };
        assert_eq!(told.surroundings.shell, expected, "save {number}");
        // Whether they are sent again, or not at all, changes nothing.
        if number == 3 {
            bench.devices[0].typed.clear();
        }
    }
    bench.devices[0].typed = ShellLines::from([late.clone()]);
    bench.save(0);
    let all = ShellLines::from([early.clone(), late]);
    bench.devices[0].restart();
    let history = bench.devices[0].desk.own_history(&session()).unwrap().unwrap();
    assert_eq!((history.record.number, &history.shell), (FULL_RECORD_EVERY + 3, &all));
    let earlier = bench.devices[0].desk.reader().earlier(&history, 2).unwrap();
    assert_eq!(earlier.shell, ShellLines::from([early]));

    assert_eq!(bench.fetch(0, 1).shell, all);
}
