//! Inclusion and consistency proofs: made as in RFC 6962, section 2.1, checked as in RFC 9162,
//! sections 2.1.3.2 and 2.1.4.2.

use super::tree::Hash;

/// The largest tree there is a proof about.
const LARGEST: u64 = 1 << 62;

/// Where the hashes of a tree are.
pub trait Hashes {
    /// Why one cannot be had.
    type Error;

    /// The root of the perfect subtree with `1 << level` leaves whose first one is
    /// `index << level`.
    ///
    /// # Errors
    /// When it cannot be read, or the tree is not as large.
    fn subtree(&self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// The largest power of two below `n`, which is above 1.
const fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// The root of the leaves from `start` on, `n` of them. `start` is where a subtree begins.
fn root_of<H: Hashes + ?Sized>(hashes: &H, start: u64, n: u64) -> Result<Hash, H::Error> {
    if n.is_power_of_two() {
        let level = n.trailing_zeros();
        return hashes.subtree(level, start >> level);
    }
    let k = split(n);
    let left = root_of(hashes, start, k)?;
    let right = root_of(hashes, start + k, n - k)?;
    Ok(Hash::node(&left, &right))
}

/// The root of the first `size` leaves.
///
/// # Errors
/// When a hash cannot be read.
pub fn root<H: Hashes + ?Sized>(hashes: &H, size: u64) -> Result<Hash, H::Error> {
    match size {
        0 => Ok(Hash::empty()),
        _ => root_of(hashes, 0, size),
    }
}

/// The roots of the perfect subtrees of the first `size` leaves, the largest first.
///
/// # Errors
/// When a hash cannot be read.
pub fn peaks<H: Hashes + ?Sized>(hashes: &H, size: u64) -> Result<Vec<Hash>, H::Error> {
    let levels = (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1);
    levels
        .map(|level| hashes.subtree(level, (size >> level) - 1))
        .collect()
}

/// What proves that the leaf `index` is in the tree of the first `size` leaves.
///
/// # Errors
/// When a hash cannot be read. `index` is below `size`, or the proof is empty.
pub fn inclusion<H: Hashes + ?Sized>(
    hashes: &H,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, H::Error> {
    let mut proof = Vec::new();
    if index >= size || size > LARGEST {
        return Ok(proof);
    }
    // From the root down: RFC 6962 lists it from the leaf up.
    let (mut start, mut n, mut m) = (0, size, index);
    while n > 1 {
        let k = split(n);
        if m < k {
            proof.push(root_of(hashes, start + k, n - k)?);
            n = k;
        } else {
            proof.push(root_of(hashes, start, k)?);
            (start, n, m) = (start + k, n - k, m - k);
        }
    }
    proof.reverse();
    Ok(proof)
}

/// What proves that the tree of the first `to` leaves grew out of that of the first `from`.
///
/// # Errors
/// When a hash cannot be read. `from` is not above `to`, or the proof is empty.
pub fn consistency<H: Hashes + ?Sized>(
    hashes: &H,
    from: u64,
    to: u64,
) -> Result<Vec<Hash>, H::Error> {
    let mut proof = Vec::new();
    if from == 0 || from >= to || to > LARGEST {
        return Ok(proof);
    }
    let (mut start, mut n, mut m, mut whole) = (0, to, from, true);
    while m < n {
        let k = split(n);
        if m <= k {
            proof.push(root_of(hashes, start + k, n - k)?);
            n = k;
        } else {
            proof.push(root_of(hashes, start, k)?);
            (start, n, m, whole) = (start + k, n - k, m - k, false);
        }
    }
    if !whole {
        proof.push(root_of(hashes, start, n)?);
    }
    proof.reverse();
    Ok(proof)
}

/// A proof that does not prove what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not lead to the root")]
pub struct Unproven;

/// Checks that a leaf is in the tree with this size and root.
///
/// # Errors
/// When the proof does not show it.
pub fn verify_inclusion(
    proof: &[Hash],
    index: u64,
    leaf: Hash,
    size: u64,
    root: Hash,
) -> Result<(), Unproven> {
    if index >= size {
        return Err(Unproven);
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for step in proof {
        if last == 0 {
            return Err(Unproven);
        }
        if at & 1 == 1 || at == last {
            hash = Hash::node(step, &hash);
            up_to_a_right_child(&mut at, &mut last);
        } else {
            hash = Hash::node(&hash, step);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    (last == 0 && hash == root).then_some(()).ok_or(Unproven)
}

/// Passes the levels on which a node stands alone at the right edge.
const fn up_to_a_right_child(at: &mut u64, last: &mut u64) {
    while *at & 1 == 0 && *at != 0 {
        *at >>= 1;
        *last >>= 1;
    }
}

/// Checks that the tree with size `to` and root `to_root` begins with that of size `from` and root
/// `from_root`.
///
/// # Errors
/// When the proof does not show it.
pub fn verify_consistency(
    proof: &[Hash],
    from: u64,
    from_root: Hash,
    to: u64,
    to_root: Hash,
) -> Result<(), Unproven> {
    let holds = |holds: bool| holds.then_some(()).ok_or(Unproven);
    if from > to {
        return Err(Unproven);
    }
    if from == to {
        return holds(proof.is_empty() && from_root == to_root);
    }
    if from == 0 {
        return holds(proof.is_empty() && from_root == Hash::empty());
    }
    let (first, steps) = match proof {
        // A perfect tree is itself a node of the later one, so the proof leaves it out.
        steps if from.is_power_of_two() => (&from_root, steps),
        [first, steps @ ..] => (first, steps),
        [] => return Err(Unproven),
    };
    let (mut at, mut last) = (from - 1, to - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let (mut before, mut after) = (*first, *first);
    for step in steps {
        if last == 0 {
            return Err(Unproven);
        }
        if at & 1 == 1 || at == last {
            before = Hash::node(step, &before);
            after = Hash::node(step, &after);
            up_to_a_right_child(&mut at, &mut last);
        } else {
            after = Hash::node(&after, step);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    holds(last == 0 && before == from_root && after == to_root)
}

#[cfg(test)]
mod tests;
