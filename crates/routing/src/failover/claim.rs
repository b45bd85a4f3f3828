//! What a backend says of itself, weighed: a changed word counts when it was said often enough.
//!
//! * The pass that brings a backend up brings its first words, which count at once.
//! * Later another word counts after `rise` passes in a row that say it, role and wish each on its
//!   own. A pass that says nothing on it ends such a row, but takes back nothing.
//! * A backend that goes down is no longer believed: both are forgotten. But a last word that forbade
//!   to send requests there still does so to whoever would overrule the probes.
//!
//! Knows nothing of the other backends; what they claim together is in `dual.rs`.

use super::{Health, Role, Wish};

/// What a backend says of itself, by what its probes bring back.
///
/// `None`: it says nothing on that, which changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Its role.
    pub role: Option<Role>,
    /// What it asks for.
    pub wish: Option<Wish>,
}

impl Claim {
    /// Whether it allows to send requests there, given the role that the policy requires.
    pub(super) fn allows(self, required: Option<Role>) -> bool {
        !self.forbids(required) && (required.is_none() || self.role == required)
    }

    /// Whether something that was said speaks against it. Silence does not.
    pub(super) fn forbids(self, required: Option<Role>) -> bool {
        let wrong_role = match self.role {
            Some(Role::Promoting | Role::Fenced) => true,
            Some(Role::Active | Role::Standby) => required.is_some() && self.role != required,
            None => false,
        };
        wrong_role || self.is_unwilling()
    }

    /// Whether that is news after `old`, of one whose last word, also from before it went down, was
    /// `last_word`. That it wants to serve is taken for granted.
    pub(super) fn is_news(self, old: Self, last_word: Self) -> bool {
        let is_granted = old.wish.is_none() && self.wish == Some(Wish::Serve);
        let wish_changes = self.wish != old.wish && (!is_granted || last_word.is_unwilling());
        self.role != old.role || wish_changes
    }

    /// Whether it asks for no more requests.
    pub(super) fn is_unwilling(self) -> bool {
        match self.wish {
            Some(Wish::Drain | Wish::Maintenance) => true,
            Some(Wish::Serve) | None => false,
        }
    }
}

/// The claim of one backend: what counts, and what may count soon.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claims {
    role: Word<Role>,
    wish: Word<Wish>,
    /// What counted when it went down last.
    parting: Claim,
}

impl Claims {
    /// What counts.
    pub(super) fn confirmed(&self) -> Claim {
        Claim { role: self.role.confirmed, wish: self.wish.confirmed }
    }

    /// What counted last, also of one that went down since.
    pub(super) fn last_word(&self, health: Health) -> Claim {
        match health {
            Health::Up => self.confirmed(),
            Health::Unknown | Health::Down => self.parting,
        }
    }

    /// Passes in a row that say something else; of the two rows the longer.
    pub(super) fn streak(&self) -> u32 {
        self.role.streak().max(self.wish.streak())
    }

    /// Believes the pass that brought the backend up.
    pub(super) fn believe(&mut self, Claim { role, wish }: Claim) {
        self.role = Word { confirmed: role, row: None };
        self.wish = Word { confirmed: wish, row: None };
    }

    /// Weighs what came with a pass of a backend that is up.
    pub(super) fn weigh(&mut self, claim: Claim, rise: u32) {
        self.role.weigh(claim.role, rise);
        self.wish.weigh(claim.wish, rise);
    }

    /// A failure ends the rows.
    pub(super) fn interrupt(&mut self) {
        (self.role.row, self.wish.row) = (None, None);
    }

    /// The backend is down.
    pub(super) fn forget(&mut self) {
        *self = Self { parting: self.confirmed(), ..Self::default() };
    }
}

/// One thing that a backend says of itself.
#[derive(Clone, Copy, Debug)]
struct Word<T> {
    confirmed: Option<T>,
    /// Another word, and so many passes in a row that said it.
    row: Option<(T, u32)>,
}

impl<T> Default for Word<T> {
    fn default() -> Self {
        Self { confirmed: None, row: None }
    }
}

impl<T: Copy + PartialEq> Word<T> {
    fn streak(&self) -> u32 {
        self.row.map_or(0, |(_, streak)| streak)
    }

    fn weigh(&mut self, said: Option<T>, rise: u32) {
        let before = self.row.take();
        let Some(said) = said.filter(|_| said != self.confirmed) else { return };
        let row = before.filter(|(word, _)| *word == said).map_or(0, |(_, streak)| streak);
        let streak = row.saturating_add(1);
        if streak >= rise {
            self.confirmed = Some(said);
        } else {
            self.row = Some((said, streak));
        }
    }
}
