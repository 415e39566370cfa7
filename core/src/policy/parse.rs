//! Turns what was read into rules.

use std::collections::BTreeSet;

use super::{
    Capabilities, Conditions, Pattern, Policy, RULE_LIMIT, Rule, TEXT_LIMIT, Value, duration,
    error::{Fault, ParseError, Place},
    hcl, json,
    source::{Block, Node},
    value::{self, Parameters},
};

/// The policy of a text.
pub(super) fn policy(text: &str) -> Result<Policy, ParseError> {
    if text.len() > TEXT_LIMIT {
        return Err(Fault::TooLong.at(Place::Text));
    }
    let blocks = if text.trim_start().starts_with('{') {
        json::blocks(text)?
    } else {
        hcl::blocks(text)?
    };
    if blocks.len() > RULE_LIMIT {
        return Err(Fault::TooManyPaths.at(Place::Text));
    }
    let rules = blocks.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    Ok(Policy::from_rules(rules))
}

fn rule(block: &Block) -> Result<Rule, ParseError> {
    let mut rule = Rule {
        pattern: Pattern::new(&block.pattern).map_err(|fault| fault.at(block.place))?,
        capabilities: Capabilities::NONE,
        expires: None,
        conditions: None,
    };
    let mut conditions = Conditions::default();
    let mut keys = BTreeSet::new();
    for member in &block.members {
        if !keys.insert(&member.key) {
            return Err(Fault::Twice.at(member.place));
        }
        read(&mut rule, &mut conditions, &member.key, &member.value)
            .map_err(|fault| fault.at(member.place))?;
    }
    match (conditions.min_wrap, conditions.max_wrap) {
        (Some(least), Some(most)) if most < least => {
            return Err(Fault::WrapOrder.at(block.place));
        }
        _ => {}
    }
    let bounded = conditions != Conditions::default() && !rule.capabilities.denies();
    rule.conditions = bounded.then_some(conditions);
    Ok(rule)
}

fn read(
    rule: &mut Rule,
    conditions: &mut Conditions,
    key: &str,
    value: &Node,
) -> Result<(), Fault> {
    match key {
        "capabilities" => {
            for name in value.texts("capabilities")? {
                let capability = Capabilities::by_name(name).ok_or(Fault::Capability)?;
                rule.capabilities = rule.capabilities.and(capability);
            }
        }
        "policy" => {
            let granted = short_form(value.text("policy")?)?;
            rule.capabilities = rule.capabilities.and(granted);
        }
        "allowed_parameters" => {
            conditions.allowed = parameters(value, "allowed_parameters")?;
        }
        "denied_parameters" => {
            conditions.denied = parameters(value, "denied_parameters")?;
        }
        "required_parameters" => {
            let names = value.texts("required_parameters")?;
            conditions.required = names.into_iter().map(value::lower).collect();
        }
        "min_wrapping_ttl" => conditions.min_wrap = duration::span(value, "min_wrapping_ttl")?,
        "max_wrapping_ttl" => conditions.max_wrap = duration::span(value, "max_wrapping_ttl")?,
        "pagination_limit" => {
            conditions.page = match value.count("pagination_limit")? {
                0 => None,
                page => Some(page),
            };
        }
        "expiration" => rule.expires = duration::moment(value)?,
        // For people only.
        "comment" => {}
        "mfa_methods" => return Err(Fault::Unsupported("mfa_methods")),
        "control_group" => return Err(Fault::Unsupported("control_group")),
        "list_scan_response_keys_filter_path" => {
            return Err(Fault::Unsupported("list_scan_response_keys_filter_path"));
        }
        _ => return Err(Fault::UnknownKey),
    }
    Ok(())
}

/// What the short forms of Vault's first policies grant.
fn short_form(name: &str) -> Result<Capabilities, Fault> {
    let read = Capabilities::READ.and(Capabilities::LIST);
    let write = read
        .and(Capabilities::CREATE)
        .and(Capabilities::UPDATE)
        .and(Capabilities::DELETE);
    match name {
        "" => Ok(Capabilities::NONE),
        "read" => Ok(read),
        "write" => Ok(write),
        "sudo" => Ok(write.and(Capabilities::SUDO)),
        "deny" => Ok(Capabilities::DENY),
        _ => Err(Fault::ShortForm),
    }
}

fn parameters(value: &Node, key: &'static str) -> Result<Parameters, Fault> {
    let fault = Fault::Type {
        key,
        wanted: "a map from names to lists of texts, whole numbers and booleans",
    };
    let Node::Object(members) = value else {
        return Err(fault);
    };
    let mut parameters = Parameters::new();
    for (name, list) in members {
        let Node::List(nodes) = list else {
            return Err(fault);
        };
        let values = nodes
            .iter()
            .map(|node| match node {
                Node::Text(text) => Ok(Value::Text(text.clone())),
                Node::Number(number) => Ok(Value::Number(*number)),
                Node::Bool(bool) => Ok(Value::Bool(*bool)),
                _ => Err(fault.clone()),
            })
            .collect::<Result<_, _>>()?;
        // Names that differ in their case alone are one name.
        if parameters.insert(value::lower(name), values).is_some() {
            return Err(Fault::Twice);
        }
    }
    Ok(parameters)
}
