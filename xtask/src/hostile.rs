//! `cargo xtask bench hostile`: what refusing each hostile code state takes, each in a process of its own.

use std::path::Path;

use convosync_tests::files;

use crate::failure::Failure;
use crate::table::{Table, thousandths};
use crate::{print, shell};

/// How long a refusal may take.
const MICROS_MAX: u64 = 1_000_000;
/// How much memory the process and the largest of its children may take together.
const KIB_MAX: u64 = 256 << 10;
/// How many of the dearest cases are shown.
const SHOWN: usize = 8;

/// What one case took.
struct Cost {
    micros: u64,
    own: u64,
    child: u64,
    name: String,
}

impl Cost {
    /// Reads `<microseconds> <KiB> <KiB> <name>`, parted by tabs.
    fn read(line: &str) -> Option<Self> {
        let mut fields = line.splitn(4, '\t');
        let mut number = || fields.next()?.parse().ok();
        let (micros, own, child) = (number()?, number()?, number()?);
        Some(Self { micros, own, child, name: fields.next()?.to_owned() })
    }

    fn memory(&self) -> u64 {
        self.own + self.child
    }
}

/// Plays every hostile state.
///
/// # Errors
/// When one takes more than it may.
pub(crate) fn hostile() -> Result<(), Failure> {
    let failed = |source| Failure::File { deed: "make", path: "a folder".into(), source };
    let place = tempfile::tempdir().map_err(failed)?;
    let figures = place.path().join("figures");
    let words = ["test", "--package", "convosync-tests", "--test", "code", "--", "hostile::"];
    let mut command = shell::cargo(&words);
    command.env("CONVOSYNC_HOSTILE_FIGURES", &figures);
    shell::step("hostile states", &mut command)?;
    report(&figures)
}

fn report(figures: &Path) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(&files::read(figures)).into_owned();
    let mut costs: Vec<Cost> = text.lines().filter_map(Cost::read).collect();
    print::line(&format!("{} states, the dearest of them:", costs.len()));
    costs.sort_by_key(|cost| std::cmp::Reverse(cost.micros));
    show(&costs[..costs.len().min(SHOWN)]);
    costs.sort_by_key(|cost| std::cmp::Reverse(cost.memory()));
    show(&costs[..costs.len().min(SHOWN)]);
    let is_above = |cost: &&Cost| cost.micros > MICROS_MAX || cost.memory() > KIB_MAX;
    let above: Vec<String> = costs.iter().filter(is_above).map(|cost| cost.name.clone()).collect();
    match (costs.is_empty(), above.is_empty()) {
        (true, _) => Err(Failure::Dear(vec!["nothing was measured".to_owned()])),
        (_, true) => Ok(()),
        (_, false) => Err(Failure::Dear(above)),
    }
}

fn show(costs: &[Cost]) {
    let mut table = Table::new(&["state", "ms", "own, KiB", "largest child, KiB", "both, KiB"]);
    for cost in costs {
        let figures = [cost.own, cost.child, cost.memory()].map(|figure| figure.to_string());
        let cells = [cost.name.clone(), thousandths(cost.micros)];
        table.row(cells.into_iter().chain(figures));
    }
    print::line(&table.text());
}
