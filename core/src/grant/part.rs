//! One part of a grant: HPKE (RFC 9180) in base mode, for one recipient and one place in a grant.

use hpke::{
    Deserializable as _, OpModeR, OpModeS, Serializable as _, aead::ChaCha20Poly1305,
    kdf::HkdfSha256, kem::X25519HkdfSha256,
};
use zeroize::Zeroizing;

use super::key::{AuditorKey, AuditorSecret, RecipientId};
use crate::{
    entropy::{Entropy, Random},
    id::{GrantId, WalletId},
    keys::wallet::{EPOCH, Epoch},
    labels,
    seal::{Place, Unopened},
    secret::SecretBytes,
};

pub(super) type Kem = X25519HkdfSha256;

/// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305: the first byte of all that it seals.
const HPKE_X25519_CHACHA20POLY1305: u8 = 2;
const ENC: usize = 32;
const TAG: usize = 16;
/// What stands before the encapsulated key.
const ADDRESS: usize = 1 + 16 + 16 + 2 + 4;

/// How many epochs one part holds at most.
pub const EPOCHS_IN_PART: usize = 2048;

/// What a part says of itself in the clear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// Whom it is for.
    pub recipient: RecipientId,
    /// The grant that it is of.
    pub grant: GrantId,
    /// The kind of the event that it stands in.
    pub kind: u16,
    /// Its number in the grant, counted from 1.
    pub part: u32,
}

impl Address {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(HPKE_X25519_CHACHA20POLY1305);
        out.extend_from_slice(self.recipient.as_bytes());
        out.extend_from_slice(self.grant.as_bytes());
        out.extend_from_slice(&self.kind.to_be_bytes());
        out.extend_from_slice(&self.part.to_be_bytes());
    }

    fn info(&self, wallet: WalletId) -> Place {
        Place::new()
            .and(labels::AUDITOR_GRANT.as_bytes())
            .and(wallet.as_bytes())
            .and(self.grant.as_bytes())
    }

    fn aad(&self) -> Place {
        Place::new()
            .and_number(u64::from(self.kind))
            .and_number(u64::from(self.part))
    }

    /// Opens a payload of the log if it is for the holder of this key; none if it is not.
    ///
    /// # Errors
    /// When it says that it is, and does not open.
    pub fn open(
        secret: &AuditorSecret,
        public: &AuditorKey,
        wallet: WalletId,
        sealed: &[u8],
    ) -> Option<Result<(Self, SecretBytes), Unopened>> {
        let address = Self::read(sealed, public.id())?;
        let rest = sealed.get(ADDRESS..)?;
        Some(address.open_rest(secret, wallet, rest))
    }

    fn read(sealed: &[u8], recipient: RecipientId) -> Option<Self> {
        let (algorithm, rest) = sealed.split_first()?;
        let (to, rest) = rest.split_first_chunk::<16>()?;
        let (grant, rest) = rest.split_first_chunk::<16>()?;
        let (kind, rest) = rest.split_first_chunk::<2>()?;
        let (part, _) = rest.split_first_chunk::<4>()?;
        let is_for = *algorithm == HPKE_X25519_CHACHA20POLY1305 && to == recipient.as_bytes();
        is_for.then(|| Self {
            recipient,
            grant: GrantId::from_bytes(*grant),
            kind: u16::from_be_bytes(*kind),
            part: u32::from_be_bytes(*part),
        })
    }

    fn open_rest(
        self,
        secret: &AuditorSecret,
        wallet: WalletId,
        rest: &[u8],
    ) -> Result<(Self, SecretBytes), Unopened> {
        let (enc, ciphertext) = rest.split_at_checked(ENC).ok_or(Unopened)?;
        let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(enc).map_err(|_| Unopened)?;
        let key = secret.hpke().ok_or(Unopened)?;
        let plain = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeR::Base,
            &key,
            &enc,
            self.info(wallet).as_bytes(),
            ciphertext,
            self.aad().as_bytes(),
        );
        let plain = plain.map_err(|_| Unopened)?;
        Ok((self, SecretBytes::new(Zeroizing::new(plain))))
    }
}

/// Seals a part of a grant of this wallet to its recipient.
///
/// # Errors
/// When nothing can be sealed to that key.
pub fn seal_part(
    wallet: WalletId,
    to: &AuditorKey,
    (grant, kind, part): (GrantId, u16, u32),
    plaintext: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, Unopened> {
    let address = Address {
        recipient: to.id(),
        grant,
        kind,
        part,
    };
    let key = <Kem as hpke::Kem>::PublicKey::from_bytes(to.as_bytes()).map_err(|_| Unopened)?;
    let sealed = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeS::Base,
        &key,
        address.info(wallet).as_bytes(),
        plaintext,
        address.aad().as_bytes(),
        &mut Random(entropy),
    );
    let (enc, ciphertext) = sealed.map_err(|_| Unopened)?;
    let mut bytes = Vec::with_capacity(ADDRESS + ENC + plaintext.len() + TAG);
    address.write(&mut bytes);
    bytes.extend_from_slice(&enc.to_bytes());
    bytes.extend_from_slice(&ciphertext);
    Ok(bytes)
}

/// Whether a shared secret with this key is a secret.
pub(super) fn agrees(key: &AuditorKey) -> bool {
    struct Ones;
    impl Entropy for Ones {
        fn fill(&mut self, out: &mut [u8]) {
            out.fill(1);
        }
    }
    let nowhere = (GrantId::default(), 0, 0);
    seal_part(WalletId::default(), key, nowhere, &[], &mut Ones).is_ok()
}

/// The plaintext of a part with the keys of epochs.
pub fn epochs_plaintext<'a>(epochs: impl Iterator<Item = (u32, &'a Epoch)>) -> Zeroizing<Vec<u8>> {
    let (_, most) = epochs.size_hint();
    let room = most.unwrap_or(EPOCHS_IN_PART).min(EPOCHS_IN_PART);
    let mut plain = Zeroizing::new(Vec::with_capacity(room * EPOCH));
    for (number, epoch) in epochs.take(EPOCHS_IN_PART) {
        epoch.write(number, &mut plain);
    }
    plain
}

/// The epochs of such a plaintext, each with its number; none when it is no such plaintext.
#[must_use]
pub fn epochs_of(plain: &[u8]) -> Option<Vec<Epoch>> {
    let (epochs, rest) = plain.as_chunks::<EPOCH>();
    let read = epochs.iter().map(|bytes| Epoch::read(bytes).ok());
    rest.is_empty().then(|| read.collect::<Option<_>>())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_entropy::Counter;

    const WALLET: WalletId = WalletId::from_bytes([5; 16]);
    const GRANT: GrantId = GrantId::from_bytes([6; 16]);

    fn pair(seed: u64) -> (AuditorSecret, AuditorKey) {
        let secret = AuditorSecret::generate(&mut Counter::new(seed));
        let public = secret.public().unwrap();
        (secret, public)
    }

    fn sealed(to: &AuditorKey) -> Vec<u8> {
        let place = (GRANT, 71, 3);
        seal_part(WALLET, to, place, b"plain", &mut Counter::new(9)).unwrap()
    }

    #[test]
    fn a_part_opens_for_its_recipient_and_its_wallet() {
        let ((secret, public), (other, another)) = (pair(1), pair(2));
        let bytes = sealed(&public);
        assert_eq!(bytes.len(), ADDRESS + ENC + 5 + TAG);
        let (address, plain) = Address::open(&secret, &public, WALLET, &bytes)
            .unwrap()
            .unwrap();
        assert_eq!((address.grant, address.kind, address.part), (GRANT, 71, 3));
        assert_eq!(plain.expose(), b"plain");
        assert!(Address::open(&other, &another, WALLET, &bytes).is_none());
        // Whoever takes another's name gains nothing by it.
        assert!(
            Address::open(&other, &public, WALLET, &bytes)
                .unwrap()
                .is_err()
        );
        let elsewhere = WalletId::from_bytes([4; 16]);
        let moved = Address::open(&secret, &public, elsewhere, &bytes);
        assert!(moved.unwrap().is_err());
    }

    #[test]
    fn inv05_every_changed_byte_and_every_cut_is_found() {
        let (secret, public) = pair(1);
        let bytes = sealed(&public);
        let opens = |bytes: &[u8]| {
            let opened = Address::open(&secret, &public, WALLET, bytes);
            opened.is_some_and(|opened| opened.is_ok())
        };
        assert!(opens(&bytes));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(!opens(&changed), "byte {at}");
            assert!(!opens(&bytes[..at]), "cut {at}");
        }
    }

    #[test]
    fn rfc_9180_a_2_1() {
        // DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base mode, sequence 0.
        let hex = |text: &str| hex::decode(text).unwrap();
        let secret = hex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb");
        let public = hex("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a");
        let enc = hex("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
        let ciphertext = hex(concat!(
            "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db",
            "21993c62ce81883d2dd1b51a28"
        ));
        let secret = <Kem as hpke::Kem>::PrivateKey::from_bytes(&secret).unwrap();
        let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(&enc).unwrap();
        assert_eq!(<Kem as hpke::Kem>::sk_to_pk(&secret).to_bytes()[..], public);
        let plain = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeR::Base,
            &secret,
            &enc,
            &hex("4f6465206f6e2061204772656369616e2055726e"),
            &ciphertext,
            b"Count-0",
        );
        assert_eq!(plain.unwrap(), b"Beauty is truth, truth beauty");
    }

    #[test]
    fn epochs_come_back_with_their_numbers() {
        let mut entropy = Counter::new(3);
        let keys = crate::keys::wallet::WalletKeys::generate(&mut entropy);
        let keys = keys.with_next_epoch(&mut entropy);
        let plain = epochs_plaintext((7..).zip(&keys.epochs));
        let again = epochs_of(&plain).unwrap();
        let known = |epochs: &[Epoch]| {
            let epochs = epochs.iter();
            epochs.map(|epoch| epoch.id).collect::<Vec<_>>()
        };
        assert_eq!(known(&again), known(&keys.epochs));
        assert_eq!([again[0].number, again[1].number], [7, 8]);
        assert!(epochs_of(&plain[1..]).is_none());
    }
}
