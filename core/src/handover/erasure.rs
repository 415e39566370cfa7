//! Commands about erasures and legal holds on their way to another node.

use crate::{
    cbor::as_array,
    command::{Action, NewErasure, NewHold, Target},
    id::HoldId,
};

as_array!(Target { record, folders });

as_array!(NewErasure {
    erasure,
    mount,
    place,
    versions,
    records,
    names
});

as_array!(NewHold {
    hold,
    mount,
    place,
    is_folder,
    names
});

/// An action as it is sent.
#[derive(serde::Serialize)]
pub(super) enum Sent<'a> {
    Erase(&'a NewErasure),
    PlaceHold(&'a NewHold),
    LiftHold(HoldId),
}

/// The same as it is received.
#[derive(serde::Deserialize)]
pub(super) enum Received {
    Erase(NewErasure),
    PlaceHold(NewHold),
    LiftHold(HoldId),
}

/// The action as it is sent; none for one that is sent in another form, or not at all.
pub(super) fn sent(action: &Action) -> Option<Sent<'_>> {
    match action {
        Action::Erase(new) => Some(Sent::Erase(new)),
        Action::PlaceHold(new) => Some(Sent::PlaceHold(new)),
        Action::LiftHold(hold) => Some(Sent::LiftHold(*hold)),
        _ => None,
    }
}

/// The action of what was received.
pub(super) fn received(action: Received) -> Action {
    match action {
        Received::Erase(new) => Action::Erase(Box::new(new)),
        Received::PlaceHold(new) => Action::PlaceHold(Box::new(new)),
        Received::LiftHold(hold) => Action::LiftHold(hold),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::Command,
        event::Actor,
        handover::{decode, encode},
        id::{ErasureId, MountId, RecordId},
        names::{ErasureNames, HoldNames},
    };

    #[test]
    fn erasures_and_holds_arrive_as_they_left() {
        let erase = Action::Erase(Box::new(NewErasure {
            erasure: ErasureId::from_bytes([1; 16]),
            mount: MountId::from_bytes([2; 16]),
            place: RecordId::from_bytes([3; 16]),
            versions: Some(vec![1, 4]),
            records: vec![Target {
                record: RecordId::from_bytes([3; 16]),
                folders: vec![RecordId::from_bytes([4; 16])],
            }],
            names: ErasureNames {
                reason: "they left".to_owned(),
            },
        }));
        let place = Action::PlaceHold(Box::new(NewHold {
            hold: HoldId::from_bytes([5; 16]),
            mount: MountId::from_bytes([2; 16]),
            place: RecordId::from_bytes([4; 16]),
            is_folder: true,
            names: HoldNames {
                path: "team/".to_owned(),
                reason: "a lawsuit".to_owned(),
            },
        }));
        let lift = Action::LiftHold(HoldId::from_bytes([5; 16]));
        let commands = [erase, place, lift].map(|action| Command {
            id: None,
            actor: Actor::System,
            needs: Vec::new(),
            action,
        });
        let bytes = encode(commands.iter()).unwrap();
        let again = decode(&bytes).unwrap();
        assert_eq!(format!("{again:?}"), format!("{commands:?}"));
        assert_eq!(encode(again.iter()).unwrap(), bytes);
    }
}
