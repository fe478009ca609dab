//! A device's ref under two names: hosts begin to refuse one, or to accept another.

use convosync_core::store::RefKind;

use crate::bench::{Bench, bench};
use crate::carry;

#[test]
fn of_two_refs_of_one_device_the_newer_is_believed_in_either_order() {
    for newer_first in [true, false] {
        let mut bench = bench(2);
        bench.write(0, b"one\n");
        bench.save(0);
        let old = (bench.devices[0].desk.own.reference, bench.tip(0));
        let renamed = bench.devices[0].desk.rename(RefKind::Branch).unwrap();
        assert!(renamed && bench.devices[0].desk.is_unsent());
        bench.write(0, b"one\ntwo\n");
        bench.save(0);
        let new = (bench.devices[0].desk.own.reference, bench.tip(0));
        assert_ne!(old.0, new.0);
        let objects = bench.devices[0].desk.store.own_dir();
        let device = bench.devices[0].vault.device();
        let listed = if newer_first { [new, old] } else { [old, new] };
        let desk = |bench: &mut Bench| {
            carry::copy_objects(&objects, &bench.devices[1].desk.store.seen_dir());
            for (reference, tip) in listed {
                carry::show(&bench.devices[1], &reference, &tip.to_string());
            }
            let desk = &mut bench.devices[1].desk;
            let (news, _) = desk.news_among(&listed);
            for (reference, tip) in news {
                desk.take_peer(reference, tip, 0);
            }
            assert!(desk.doubts.is_empty(), "{:?}", desk.doubts);
            assert_eq!(desk.peers[&device].tip, new.1);
            assert!(desk.news_among(&listed).0.is_empty(), "nothing is fetched twice");
        };
        desk(&mut bench);
        bench.devices[1].restart();
        desk(&mut bench);

        // When the newer one is gone, the older one is no longer left over: it was put back.
        bench.devices[1].restart();
        bench.devices[1].desk.news_among(&[old]);
        bench.devices[1].desk.take_peer(old.0, old.1, 0);
        assert!(bench.doubt(0, 1).contains("went back"), "{}", bench.doubt(0, 1));
    }
}

#[test]
fn a_ref_that_was_renamed_is_found_again_after_a_restart() {
    let mut bench = bench(1);
    bench.write(0, b"one\n");
    bench.save(0);
    let old = bench.devices[0].desk.own.reference;
    bench.devices[0].desk.rename(RefKind::Branch).unwrap();
    let (new, tip) = (bench.devices[0].desk.own.reference, bench.tip(0));
    bench.devices[0].restart();
    assert_eq!((bench.devices[0].desk.own.reference, bench.tip(0)), (new, tip));
    // As after a crash in the middle: the old name is there too, and older.
    bench.write(0, b"one\ntwo\n");
    bench.save(0);
    bench.devices[0].desk.store.move_ref(&old, None, tip).unwrap();
    bench.devices[0].restart();
    assert_eq!(bench.devices[0].desk.own.reference, new);
    assert_eq!(bench.saved(0), b"one\ntwo\n");
}
