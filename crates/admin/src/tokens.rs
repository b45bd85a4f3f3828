//! Tokens: made, and recognised again.
//!
//! The config holds hashes only. To verify one is slow by intent, so a token that was right is
//! remembered, by a hash under a key that this process alone knows.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// What every token that we make begins with, so that people and scanners of secrets recognise one.
const PREFIX: &str = "understudy_";
/// Random bytes of a token.
const RANDOM_BYTES: usize = 32;
/// Longer ones are not ours.
const LONGEST: usize = 512;
/// So many tokens are hashed at once; each hash takes memory and a core.
const HASHING: usize = 2;
/// How long a token may wait for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(5);
/// So many unknown tokens within [`WINDOW`]; then nobody is verified until some time has passed.
const FAILURES: usize = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// See everything.
    Read,
    /// And change it.
    Write,
}

/// A token that may be used, known by its hash.
pub struct Token {
    name: Arc<str>,
    access: Access,
    hash: PasswordHash,
    /// The keyed hash of the secret, once it has been verified.
    verified: OnceLock<hmac::Tag>,
}

/// The hash of a token is not one of Argon2, or not complete.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hash of token {name:?} is not one of Argon2; `understudy token` makes one")]
pub struct BadHash {
    name: String,
}

/// A token just made.
pub struct NewToken {
    /// To be shown once, and kept nowhere.
    pub secret: String,
    /// Its Argon2id hash, for the config.
    pub hash: String,
}

/// No randomness is to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoRandomness;

/// Makes a new random token.
///
/// # Errors
/// When the system gives no random bytes.
pub fn token() -> Result<NewToken, NoRandomness> {
    let (mut random, mut salt) = ([0; RANDOM_BYTES], [0; 16]);
    rand::fill(&mut random).map_err(|_| NoRandomness)?;
    rand::fill(&mut salt).map_err(|_| NoRandomness)?;
    let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    // Fails for sizes that nobody chose here.
    let hash = Argon2::default()
        .hash_password_with_salt(secret.as_bytes(), &salt)
        .map_err(|_| NoRandomness)?;
    Ok(NewToken { secret, hash: hash.to_string() })
}

/// Why nobody is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The token is none of ours.
    Wrong,
    /// Too many wrong ones came just now, so this one was not looked at.
    TooMany,
}

/// The tokens that may be used.
#[derive(Debug)]
pub(crate) struct Tokens {
    tokens: Arc<Vec<Token>>,
    key: hmac::Key,
    turns: Arc<Semaphore>,
    attempts: Mutex<VecDeque<Instant>>,
}

impl Token {
    /// A token of this name, with its hash in the PHC format (`$argon2id$v=19$...`).
    ///
    /// # Errors
    /// When that is no hash of Argon2.
    pub fn new(name: &str, access: Access, hash: &str) -> Result<Self, BadHash> {
        let bad = || BadHash { name: name.to_owned() };
        let hash = PasswordHash::new(hash).map_err(|_| bad())?;
        let known = ["argon2id", "argon2i", "argon2d"].contains(&hash.algorithm.as_str());
        if !known || hash.salt.is_none() || hash.hash.is_none() {
            return Err(bad());
        }
        Ok(Self { name: name.into(), access, hash, verified: OnceLock::new() })
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn access(&self) -> Access {
        self.access
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").finish_non_exhaustive()
    }
}

impl Tokens {
    pub(crate) fn new(tokens: Vec<Token>) -> Result<Self, NoRandomness> {
        let mut key = [0; 32];
        rand::fill(&mut key).map_err(|_| NoRandomness)?;
        Ok(Self {
            tokens: Arc::new(tokens),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            turns: Arc::new(Semaphore::new(HASHING)),
            attempts: Mutex::default(),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The token that `secret` is.
    pub(crate) async fn recognise(&self, secret: &str) -> Result<&Token, Unknown> {
        if secret.len() > LONGEST {
            return Err(Unknown::Wrong);
        }
        let tag = hmac::sign(&self.key, secret.as_bytes());
        if let Some(token) = self.remembered(&tag) {
            return Ok(token);
        }
        // Counted before it is known to be wrong, or a burst would slip through while it is hashed.
        if !self.attempt(Instant::now()) {
            return Err(Unknown::TooMany);
        }
        let Ok(Ok(turn)) = timeout(TURN_WITHIN, self.turns.clone().acquire_owned()).await else {
            return Err(Unknown::TooMany);
        };
        // Another request with the same token may have come first.
        if let Some(token) = self.remembered(&tag) {
            self.forgive();
            return Ok(token);
        }
        let (tokens, secret) = (self.tokens.clone(), secret.to_owned());
        let verify = move || {
            let _turn = turn;
            tokens.iter().position(|token| {
                Argon2::default().verify_password(secret.as_bytes(), &token.hash).is_ok()
            })
        };
        let found = tokio::task::spawn_blocking(verify).await.ok().flatten();
        let token = found.and_then(|index| self.tokens.get(index)).ok_or(Unknown::Wrong)?;
        // Already set only by the same secret.
        let _ = token.verified.set(tag);
        self.forgive();
        Ok(token)
    }

    /// The token with this keyed hash, if it has been verified before. How long it takes to compare
    /// says nothing: whoever tries does not know the key.
    fn remembered(&self, tag: &hmac::Tag) -> Option<&Token> {
        let same = |verified: &hmac::Tag| verified.as_ref() == tag.as_ref();
        self.tokens.iter().find(|token| token.verified.get().is_some_and(same))
    }

    /// Whether another token may be verified now.
    fn attempt(&self, now: Instant) -> bool {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        while attempts.front().is_some_and(|&at| now.duration_since(at) >= WINDOW) {
            attempts.pop_front();
        }
        let room = attempts.len() < FAILURES;
        if room {
            attempts.push_back(now);
        }
        room
    }

    /// The attempt was a right one.
    fn forgive(&self) {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).pop_back();
    }
}

#[cfg(test)]
mod tests {
    use argon2::{Algorithm, Params, Version};

    use super::*;

    /// With the least work that Argon2 allows.
    fn cheap(secret: &str) -> String {
        let params = Params::new(8, 1, 1, None).expect("good parameters");
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_with_salt(secret.as_bytes(), b"salt salt salt")
            .expect("a hash")
            .to_string()
    }

    fn tokens(secrets: &[(&str, Access)]) -> Tokens {
        let token = |(secret, access): &(&str, Access)| {
            Token::new(secret, *access, &cheap(secret)).expect("a good hash")
        };
        Tokens::new(secrets.iter().map(token).collect()).expect("randomness")
    }

    #[tokio::test]
    async fn a_token_that_we_make_is_recognised_by_its_hash() {
        let made = token().expect("a token");
        assert!(made.secret.starts_with("understudy_"), "it shows what it is");
        assert_eq!(made.secret.len(), "understudy_".len() + 43);
        assert!(made.hash.starts_with("$argon2id$v=19$"), "{}", made.hash);
        assert_ne!(made.secret, token().expect("another").secret);
        let ops = Token::new("ops", Access::Write, &made.hash).expect("a good hash");
        let tokens = Tokens::new(vec![ops]).expect("randomness");
        let found = tokens.recognise(&made.secret).await.expect("it is ours");
        assert_eq!((&**found.name(), found.access()), ("ops", Access::Write));
        assert_eq!(
            tokens.recognise(&format!("{}x", made.secret)).await.err(),
            Some(Unknown::Wrong)
        );
        assert!(!format!("{made:?}{tokens:?}").contains(&made.secret), "no secret in a log line");
    }

    #[tokio::test]
    async fn a_right_token_is_hashed_once_and_wrong_ones_do_not_lock_it_out() {
        let tokens = tokens(&[("reader", Access::Read), ("writer", Access::Write)]);
        assert_eq!(tokens.recognise("reader").await.map(Token::access), Ok(Access::Read));
        // Nobody gets a turn at hashing any more: what is still recognised is remembered.
        tokens.turns.close();
        for _ in 0..100 {
            assert_eq!(tokens.recognise("reader").await.map(Token::access), Ok(Access::Read));
        }
        assert_eq!(tokens.recognise("writer").await.err(), Some(Unknown::TooMany));
    }

    #[tokio::test]
    async fn after_ten_wrong_ones_none_is_looked_at_for_a_while() {
        let tokens = tokens(&[("reader", Access::Read)]);
        let mut first = None;
        for n in 0..FAILURES {
            first = first.or(Some(Instant::now()));
            assert_eq!(tokens.recognise(&format!("wrong {n}")).await.err(), Some(Unknown::Wrong));
        }
        if first.is_some_and(|first| first.elapsed() < WINDOW) {
            assert_eq!(tokens.recognise("reader").await.err(), Some(Unknown::TooMany));
        }
        let later = Instant::now() + WINDOW;
        assert!(tokens.attempt(later), "the window slides on");
    }

    #[tokio::test]
    async fn right_ones_do_not_count() {
        let secrets: Vec<String> = (0..2 * FAILURES).map(|n| format!("token {n}")).collect();
        let list: Vec<(&str, Access)> = secrets.iter().map(|s| (&**s, Access::Read)).collect();
        let tokens = tokens(&list);
        for secret in &secrets {
            assert!(tokens.recognise(secret).await.is_ok(), "{secret}");
        }
        assert!(tokens.attempts.lock().expect("nobody panicked").is_empty());
    }

    #[test]
    fn only_hashes_of_argon2_are_taken() {
        for bad in [
            "",
            "secret",
            "$argon2id$v=19$m=8,t=1,p=1",
            "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        ] {
            assert!(Token::new("ops", Access::Read, bad).is_err(), "{bad}");
        }
    }
}
