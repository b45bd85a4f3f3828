//! Shares of a whole: `0.01`, `1`.

use serde_json::json;

use crate::problem::quoted;
use crate::reader::Value;
use crate::report::Complaint;
use crate::yaml::{Scalar, ScalarKind};

/// A share from 0 (none) to 1 (all).
pub(crate) fn share(value: &mut Value<'_>) -> Option<f64> {
    let schema = || json!({ "type": "number", "minimum": 0, "maximum": 1 });
    value.scalar("a share from 0 to 1", schema, parse_share)
}

fn parse_share(scalar: &Scalar) -> Result<f64, Complaint> {
    let text = scalar.text.as_str();
    let bad = || Complaint::new(format!("{} is not a share from 0 to 1", quoted(text)));
    if let Some(percent) = text.strip_suffix('%').and_then(|text| text.trim().parse::<f64>().ok())
        && (0.0..=100.0).contains(&percent)
    {
        return Err(bad().advice(format!("write {}", quoted(&(percent / 100.0).to_string()))));
    }
    let number = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    match (number, scalar.kind) {
        (Some(share), ScalarKind::Number) => Ok(share),
        (Some(_), ScalarKind::Text | ScalarKind::Flag) => Err(bad().advice("remove the quotes")),
        (None, _) => Err(bad().advice("write `0.01` for one of a hundred, `1` for all")),
    }
}
