//! Facts about erasures and legal holds.

use billfold_core::{
    event::{
        Event, Fact,
        v1::{ErasedRecord, ErasureOrdered, HoldLifted, HoldPlaced},
    },
    id::{ErasureId, HoldId, MountId, RecordId},
};

use crate::facts::{fact, key, root, sealed};

pub(crate) fn all() -> Vec<(&'static str, Fact)> {
    let mount = MountId::from_bytes([0x22; 16]);
    let ordered = ErasureOrdered {
        erasure: ErasureId::from_bytes([0x7c; 16]),
        mount,
        records: vec![
            ErasedRecord {
                record: RecordId::from_bytes([0x11; 16]),
                whole: true,
                versions: vec![3, 4],
            },
            ErasedRecord {
                record: RecordId::from_bytes([0x12; 16]),
                whole: false,
                versions: vec![1],
            },
        ],
        names: sealed(0x66, 30, 0xc0),
    };
    let placed = HoldPlaced {
        hold: HoldId::from_bytes([0x7d; 16]),
        mount,
        place: RecordId::from_bytes([0x13; 16]),
        is_folder: true,
        names: sealed(0x66, 31, 0xc1),
    };
    let lifted = HoldLifted {
        hold: placed.hold,
        retired_names: key(0x66, 31),
    };
    vec![
        (
            "erasure-ordered",
            fact(root(), Event::ErasureOrdered(ordered)),
        ),
        ("hold-placed", fact(root(), Event::HoldPlaced(placed))),
        ("hold-lifted", fact(root(), Event::HoldLifted(lifted))),
    ]
}
