use proptest::prelude::*;

use super::*;
use crate::proof::tree::Frontier;

/// A tree in memory, by its definition.
struct Plain(Vec<Hash>);

impl Plain {
    fn of(inputs: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self(inputs.into_iter().map(|input| Hash::leaf(&input)).collect())
    }

    fn numbers(count: u64) -> Self {
        Self::of((0..count).map(|n| n.to_be_bytes().to_vec()))
    }

    fn root(&self, size: u64) -> Hash {
        defined(&self.0[..usize::try_from(size).unwrap()])
    }
}

fn defined(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::empty(),
        [leaf] => *leaf,
        many => {
            let mut k = 1;
            while k * 2 < many.len() {
                k *= 2;
            }
            Hash::node(&defined(&many[..k]), &defined(&many[k..]))
        }
    }
}

impl Hashes for Plain {
    type Error = std::convert::Infallible;

    fn subtree(&self, level: u32, index: u64) -> Result<Hash, Self::Error> {
        let (from, to) = (index << level, (index + 1) << level);
        let range = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
        Ok(defined(&self.0[range]))
    }
}

fn hash(hex: &str) -> Hash {
    let mut bytes = [0; 32];
    hex::decode_to_slice(hex, &mut bytes).unwrap();
    Hash::from_bytes(bytes)
}

/// The inputs and roots that Certificate Transparency's implementations are tested with.
const INPUTS: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn known() -> Plain {
    Plain::of(INPUTS.map(|input| hex::decode(input).unwrap()))
}

#[test]
fn the_roots_of_known_trees() {
    let tree = known();
    let mut grown = Frontier::default();
    let empty = hash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(grown.root(), empty);
    assert_eq!(root(&tree, 0), Ok(empty));
    for (size, expected) in (1..).zip(ROOTS) {
        let leaf = tree.0[usize::try_from(size).unwrap() - 1];
        grown.append(leaf, |_, _| ());
        assert_eq!(grown.root(), hash(expected), "of {size}");
        assert_eq!(root(&tree, size), Ok(hash(expected)), "of {size}");
        assert_eq!(peaks(&tree, size).unwrap(), grown.peaks());
    }
}

#[test]
fn the_proofs_of_known_trees() {
    let tree = known();
    let told = |proof: Vec<Hash>| proof.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        told(inclusion(&tree, 5, 8).unwrap()),
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
    assert_eq!(
        told(consistency(&tree, 6, 8).unwrap()),
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
}

#[test]
fn every_proof_of_small_trees_holds_and_no_other() {
    const COUNT: u64 = 40;
    let tree = Plain::numbers(COUNT);
    for size in 1..=COUNT {
        let whole = tree.root(size);
        for index in 0..size {
            let proof = inclusion(&tree, index, size).unwrap();
            let leaf = tree.0[usize::try_from(index).unwrap()];
            let holds = |proof: &[Hash], index, leaf, size, root| {
                verify_inclusion(proof, index, leaf, size, root).is_ok()
            };
            assert!(holds(&proof, index, leaf, size, whole), "{index} of {size}");
            assert!(!holds(&proof, size, leaf, size, whole));
            assert!(size == 1 || !holds(&proof, index, whole, size, leaf));
            assert!(!holds(
                &[&proof[..], &[leaf]].concat(),
                index,
                leaf,
                size,
                whole
            ));
            if let [rest @ .., _] = &proof[..] {
                assert!(!holds(rest, index, leaf, size, whole));
            }
            if index + 1 < size {
                assert!(!holds(&proof, index + 1, leaf, size, whole));
            }
        }
        for from in 0..=size {
            let proof = consistency(&tree, from, size).unwrap();
            let before = tree.root(from);
            let holds = |proof: &[Hash], from, before, size, after| {
                verify_consistency(proof, from, before, size, after).is_ok()
            };
            assert!(holds(&proof, from, before, size, whole), "{from} to {size}");
            assert!(!holds(
                &[&proof[..], &[whole]].concat(),
                from,
                before,
                size,
                whole
            ));
            assert!(!holds(&proof, size + 1, before, size, whole));
            if from > 0 && from < size {
                assert!(!holds(&proof, from, whole, size, whole));
                assert!(!holds(&proof, from, before, size, before));
                assert!(!holds(&[], from, before, size, whole));
                for at in 0..proof.len() {
                    let mut changed = proof.clone();
                    changed[at] = Hash::leaf(b"another");
                    assert!(!holds(&changed, from, before, size, whole));
                    changed.remove(at);
                    assert!(!holds(&changed, from, before, size, whole));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn a_changed_leaf_is_in_no_proof(size in 2_u64..300, index in any::<u64>(), other in any::<u64>()) {
        let (index, other) = (index % size, other % size);
        let mut tree = Plain::numbers(size);
        let (before, proof) = (tree.root(size), inclusion(&tree, index, size).unwrap());
        let leaf = tree.0[usize::try_from(index).unwrap()];
        tree.0[usize::try_from(other).unwrap()] = Hash::leaf(b"changed");
        let after = tree.root(size);
        prop_assert_ne!(before, after);
        prop_assert!(verify_inclusion(&proof, index, leaf, size, before).is_ok());
        prop_assert!(verify_inclusion(&proof, index, leaf, size, after).is_err());
        if other < size - 1 {
            let from = other + 1;
            let proof = consistency(&tree, from, size).unwrap();
            let was = Plain::numbers(from).root(from);
            prop_assert!(verify_consistency(&proof, from, was, size, after).is_err());
        }
    }

    #[test]
    fn a_frontier_goes_on_where_it_was_stored(cut in 0_u64..200, more in 0_u64..200) {
        let tree = Plain::numbers(cut + more);
        let (first, rest) = tree.0.split_at(usize::try_from(cut).unwrap());
        let mut grown = Frontier::default();
        first.iter().for_each(|leaf| grown.append(*leaf, |_, _| ()));
        let mut again = Frontier::from_parts(grown.size(), grown.peaks().to_vec()).unwrap();
        rest.iter().for_each(|leaf| again.append(*leaf, |_, _| ()));
        prop_assert_eq!(again.root(), tree.root(cut + more));
        prop_assert!(Frontier::from_parts(cut + 1, grown.peaks().to_vec()).is_none() || (cut + 1).count_ones() == cut.count_ones());
    }
}
