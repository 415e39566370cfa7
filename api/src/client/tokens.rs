//! Tokens: who one is, and new ones, renewed ones, revoked ones.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Answer, Client, Error, Request, Token};

/// Which token a request is about.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Whose {
    /// The one that the request is made with.
    Own,
    /// This one.
    Token(Token),
    /// The one with this accessor, which does not let its holder use it.
    Accessor(String),
}

/// What a new token is to be. What is not said is the server's to decide.
#[derive(Default, Serialize)]
pub struct NewToken {
    /// Its own text; the server makes one up otherwise.
    #[serde(serialize_with = "exposed", skip_serializing_if = "Option::is_none")]
    pub id: Option<Token>,
    /// Its policies; those of the caller otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// What is known of its holder.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
    /// Whether it lives on when its maker's is revoked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_parent: bool,
    /// Whether it goes without the policy `default`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_default_policy: bool,
    /// Whether its life can be made longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewable: Option<bool>,
    /// How long it lives: `1h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// How long it lives at most, however often it is renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explicit_max_ttl: Option<String>,
    /// How long it lives after each renewal, without an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
    /// The name that audit trails show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// How often it can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_uses: Option<u64>,
    /// `service` or `batch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// The alias of the entity that it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_alias: Option<String>,
    /// The role whose bounds it is made within; it goes into the path.
    #[serde(skip)]
    pub role: Option<String>,
}

#[derive(Serialize, Default)]
struct About<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accessor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    increment: Option<&'a str>,
}

impl Whose {
    fn request(&self, verb: &str, increment: Option<&str>) -> Request {
        let mut about = About {
            increment,
            ..About::default()
        };
        let end = match self {
            Self::Own => format!("{verb}-self"),
            Self::Token(token) => {
                about.token = Some(token.expose());
                verb.to_owned()
            }
            Self::Accessor(accessor) => {
                about.accessor = Some(accessor);
                format!("{verb}-accessor")
            }
        };
        Request::post(["v1", "auth", "token", &end]).json(&about)
    }
}

impl Client {
    /// Makes a token. The answer's `auth` holds it.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn create_token(&self, new: &NewToken) -> Result<Answer, Error> {
        let mut path = vec!["v1", "auth", "token", "create"];
        path.extend(new.role.as_deref());
        self.send(Request::post(path).json(new)).await
    }

    /// What a token is.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn look_up_token(&self, whose: &Whose) -> Result<Answer, Error> {
        let request = match whose {
            Whose::Own => Request::get(["v1", "auth", "token", "lookup-self"]),
            other => other.request("lookup", None),
        };
        self.send(request).await
    }

    /// Makes a token's life longer.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn renew_token(
        &self,
        whose: &Whose,
        increment: Option<&str>,
    ) -> Result<Answer, Error> {
        self.send(whose.request("renew", increment)).await
    }

    /// Revokes a token and those that were made with it.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn revoke_token(&self, whose: &Whose) -> Result<(), Error> {
        self.send(whose.request("revoke", None)).await?;
        Ok(())
    }

    /// Revokes a token alone; those that were made with it live on.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn revoke_orphan(&self, token: &Token) -> Result<(), Error> {
        let whose = Whose::Token(token.clone());
        self.send(whose.request("revoke-orphan", None)).await?;
        Ok(())
    }
}

fn exposed<S: serde::Serializer>(token: &Option<Token>, to: S) -> Result<S::Ok, S::Error> {
    token.as_ref().map(Token::expose).serialize(to)
}
