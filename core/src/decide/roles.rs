//! Which policies a new token gets, and the roles that say so. The rules are those of Vault's token
//! store.

use crate::{
    command::TokenWish,
    decide::{DEFAULT_POLICY, Decided, Deciding, Error, Refusal},
    event::{
        Event,
        v1::{self, TokenRole},
    },
    policy::{ROOT, WRAPPING},
    state::Source,
};

/// By whom a token is made.
pub(super) struct Maker {
    pub(super) token: Option<crate::id::TokenId>,
    pub(super) policies: Vec<String>,
    pub(super) is_root: bool,
    pub(super) sudo: bool,
    pub(super) expires: Option<crate::Millis>,
    pub(super) cidrs: Vec<String>,
}

impl<S: Source> Deciding<'_, S> {
    pub(super) fn write_token_role(
        &mut self,
        basis: Option<&TokenRole>,
        written: &v1::TokenRoleWritten,
    ) -> Decided<S::Error> {
        let roles = self.state.token_roles().map_err(Error::Source)?;
        let before = roles.get(&written.name);
        if before != basis {
            return Err(Refusal::Changed.into());
        }
        if before == Some(&written.role) {
            return Ok(());
        }
        self.happen(Event::TokenRoleWritten(written.clone()), None, None)
    }

    pub(super) fn delete_token_role(&mut self, name: &str) -> Decided<S::Error> {
        let roles = self.state.token_roles().map_err(Error::Source)?;
        if !roles.contains_key(name) {
            return Ok(());
        }
        let event = v1::TokenRoleDeleted {
            name: name.to_owned(),
        };
        self.happen(Event::TokenRoleDeleted(event), None, None)
    }

    /// The role of this name, if a token is made or was made by one.
    pub(super) fn role(
        &self,
        name: Option<&String>,
        missing: Refusal,
    ) -> Result<Option<TokenRole>, Error<S::Error>> {
        let Some(name) = name else {
            return Ok(None);
        };
        let roles = self.state.token_roles().map_err(Error::Source)?;
        let role = roles.get(name).cloned();
        role.map(Some).ok_or_else(|| missing.into())
    }
}

/// The smaller of two bounds, of which 0 is none.
pub(super) const fn lesser(one: u64, other: u64) -> u64 {
    match (one, other) {
        (0, bound) | (bound, 0) => bound,
        (one, other) if one < other => one,
        (_, other) => other,
    }
}

/// The policies that a new token gets.
pub(super) fn granted(
    maker: &Maker,
    wish: &TokenWish,
    role: Option<&TokenRole>,
) -> Result<Vec<String>, Refusal> {
    let mut policies = match role.filter(|role| bounds_policies(role)) {
        Some(role) => by_role(maker, wish, role)?,
        None => by_maker(maker, wish, role)?,
    };
    if wish.no_default {
        policies.retain(|policy| policy != DEFAULT_POLICY);
    }
    if !maker.is_root && policies.iter().any(|policy| policy == ROOT) {
        return Err(Refusal::RootToken);
    }
    if policies.iter().any(|policy| policy == WRAPPING) {
        return Err(Refusal::WrappingGiven);
    }
    Ok(policies)
}

fn bounds_policies(role: &TokenRole) -> bool {
    [
        &role.allowed,
        &role.allowed_globs,
        &role.disallowed,
        &role.disallowed_globs,
    ]
    .iter()
    .any(|list| !list.is_empty())
}

/// What was asked for, as far as the role permits it, whatever the maker may do; or what the role
/// gives by itself.
fn by_role(maker: &Maker, wish: &TokenWish, role: &TokenRole) -> Result<Vec<String>, Refusal> {
    let default_is_barred = holds(&role.disallowed, &role.disallowed_globs, DEFAULT_POLICY);
    let with_default = !wish.no_default && !role.no_default && !default_is_barred;
    let asked = wish.policies.as_deref().filter(|asked| !asked.is_empty());
    let bounds_allowed = !role.allowed.is_empty() || !role.allowed_globs.is_empty();
    let policies = match asked {
        Some(asked) => {
            let policies = tidy(asked, with_default);
            let allowed = tidy(&role.allowed, with_default);
            let fits = |policy: &String| holds(&allowed, &role.allowed_globs, policy);
            if bounds_allowed && !policies.iter().all(fits) {
                return Err(Refusal::NotOfRole);
            }
            policies
        }
        None if bounds_allowed => tidy(&role.allowed, with_default),
        None => tidy(&maker.policies, with_default),
    };
    let barred = |policy: &String| holds(&role.disallowed, &role.disallowed_globs, policy);
    match policies.iter().any(barred) {
        true => Err(Refusal::BarredByRole),
        false => Ok(policies),
    }
}

/// What was asked for, as far as its maker may give it, or its maker's own.
fn by_maker(
    maker: &Maker,
    wish: &TokenWish,
    role: Option<&TokenRole>,
) -> Result<Vec<String>, Refusal> {
    let mut policies = match &wish.policies {
        Some(asked) => asked.clone(),
        None => maker.policies.clone(),
    };
    if !maker.is_root {
        if policies.iter().any(|policy| policy == ROOT) {
            return Err(Refusal::RootToken);
        }
        let may_give = |policy: &String| maker.policies.contains(policy);
        if !maker.sudo && !policies.iter().all(may_give) {
            return Err(Refusal::NotSubset);
        }
    }
    let mut with_default = false;
    if role.is_some_and(|role| role.no_default) {
        // What the role does not add may still be asked for by name.
        let named = wish.policies.iter().flatten().any(|p| p == DEFAULT_POLICY);
        policies.retain(|policy| policy != DEFAULT_POLICY || named);
    } else if !wish.no_default {
        with_default = maker.sudo || maker.policies.iter().any(|p| p == DEFAULT_POLICY);
    }
    Ok(tidy(&policies, with_default))
}

/// Each policy once and in order. Whoever has everything has nothing else.
fn tidy(policies: &[String], with_default: bool) -> Vec<String> {
    if policies.iter().any(|policy| policy == ROOT) {
        return vec![ROOT.to_owned()];
    }
    let mut policies = policies.to_vec();
    if with_default {
        policies.push(DEFAULT_POLICY.to_owned());
    }
    policies.sort_unstable();
    policies.dedup();
    policies
}

fn holds(names: &[String], globs: &[String], policy: &str) -> bool {
    names.iter().any(|name| name == policy) || globs.iter().any(|glob| matches(glob, policy))
}

/// Whether a text fits a glob, in which a star stands for any text.
fn matches(glob: &str, text: &str) -> bool {
    let Some((head, rest)) = glob.split_once('*') else {
        return glob == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    // Taking the first place of each part leaves the most for those after it.
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        match text.split_once(part) {
            Some((_, after)) => text = after,
            None => return false,
        }
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn maker(policies: &[&str]) -> Maker {
        Maker {
            token: None,
            policies: list(policies),
            is_root: policies.contains(&ROOT),
            sudo: policies.contains(&ROOT),
            expires: None,
            cidrs: Vec::new(),
        }
    }

    fn asked(policies: &[&str]) -> TokenWish {
        TokenWish {
            policies: (!policies.is_empty()).then(|| list(policies)),
            ..TokenWish::default()
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (glob, text) in [
            ("*", ""),
            ("*", "a"),
            ("a*", "a"),
            ("a*c", "abc"),
            ("a*b*c", "a1b2c"),
            ("*b*b", "bbb"),
            ("**", "x"),
        ] {
            assert!(matches(glob, text), "{glob} {text}");
        }
        for (glob, text) in [
            ("a*", "b"),
            ("a*a", "a"),
            ("a*b*c", "acb"),
            ("*bb", "b"),
            ("ab", "abc"),
        ] {
            assert!(!matches(glob, text), "{glob} {text}");
        }
    }

    #[test]
    fn a_role_gives_what_its_maker_does_not_have() {
        let role = TokenRole {
            allowed: list(&["app"]),
            allowed_globs: list(&["dev-*"]),
            disallowed: list(&["dev-root"]),
            ..TokenRole::default()
        };
        let maker = maker(&["maker"]);
        let given = |wish: &TokenWish| granted(&maker, wish, Some(&role));
        assert_eq!(given(&asked(&[])), Ok(list(&["app", "default"])));
        assert_eq!(
            given(&asked(&["dev-x", "app"])),
            Ok(list(&["app", "default", "dev-x"]))
        );
        assert_eq!(given(&asked(&["ops"])), Err(Refusal::NotOfRole));
        assert_eq!(given(&asked(&["root"])), Err(Refusal::NotOfRole));
        assert_eq!(given(&asked(&["dev-root"])), Err(Refusal::BarredByRole));
        // A role that gives root gives it to root alone.
        let role = TokenRole {
            allowed: list(&[ROOT]),
            ..TokenRole::default()
        };
        let given = granted(&maker, &asked(&[]), Some(&role));
        assert_eq!(given, Err(Refusal::RootToken));
    }

    #[test]
    fn nobody_gives_the_policy_of_wrapping_tokens() {
        let root = maker(&[ROOT]);
        let role = TokenRole {
            allowed_globs: list(&["*"]),
            ..TokenRole::default()
        };
        for role in [None, Some(&role)] {
            let given = granted(&root, &asked(&[WRAPPING]), role);
            assert_eq!(given, Err(Refusal::WrappingGiven));
        }
    }
}
