//! The one number in an answer, or why there is none.

use crate::domain::signal::Figure;
use serde_json::Value;

/// Longest piece of somebody else's message that is repeated.
const MESSAGE: usize = 160;

/// The text, if it is a number and nothing else.
pub(super) fn number(text: &[u8]) -> Option<Figure> {
    let text = std::str::from_utf8(text).ok()?.trim();
    Figure::new(text.parse().ok()?)
}

/// The number that a JSON pointer leads to.
pub(super) fn pointed(text: &[u8], pointer: &str) -> Result<Figure, String> {
    let json: Value =
        serde_json::from_slice(text).map_err(|_| "with something that is no JSON".to_owned())?;
    let found = json
        .pointer(pointer)
        .ok_or_else(|| format!("with JSON that has no {pointer}"))?;
    value(found).ok_or_else(|| format!("with JSON whose {pointer} is no number"))
}

/// A number, also one that is written as a text.
fn value(json: &Value) -> Option<Figure> {
    match json {
        Value::Number(number) => Figure::new(number.as_f64()?),
        Value::String(text) => number(text.as_bytes()),
        _ => None,
    }
}

/// Path and parameters of an instant query.
pub(super) fn prometheus_target(base: &str, query: &str) -> String {
    let path = base.split('?').next().unwrap_or_default();
    let mut target = format!("{}/api/v1/query?query=", path.trim_end_matches('/'));
    for byte in query.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                target.push(char::from(byte));
            }
            _ => target.push_str(&format!("%{byte:02X}")),
        }
    }
    target
}

/// The one number of an instant query's answer.
pub(super) fn prometheus(text: &[u8]) -> Result<Figure, String> {
    let json: Value =
        serde_json::from_slice(text).map_err(|_| "did not answer in its own format".to_owned())?;
    if json.get("status").and_then(Value::as_str) != Some("success") {
        let error = json.get("error").and_then(Value::as_str);
        return Err(match error {
            Some(error) => format!("refused the query: {}", short(error)),
            None => "did not answer in its own format".into(),
        });
    }
    let kind = json.pointer("/data/resultType").and_then(Value::as_str);
    let result = json.pointer("/data/result").and_then(Value::as_array);
    let figure = match (kind, result.map(Vec::as_slice)) {
        (Some("scalar"), Some([_, figure])) => figure,
        (Some("vector"), Some([one])) => one.pointer("/value/1").unwrap_or(&Value::Null),
        (Some("vector"), Some([])) => {
            return Err("knows nothing for this query now: is the series still scraped?".into());
        }
        (Some("vector"), Some(many)) => {
            return Err(format!(
                "has {} series for this query: make one of them, as with max(…)",
                many.len()
            ));
        }
        _ => return Err("did not answer with one number: give an instant query".into()),
    };
    value(figure).ok_or_else(|| "answered with something that is no number".into())
}

/// The beginning of somebody else's message, on one line.
pub(super) fn short(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty());
    let line: String = line
        .unwrap_or_default()
        .trim()
        .chars()
        .take(MESSAGE)
        .collect();
    crate::domain::redact::redact(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64) -> Figure {
        Figure::new(value).unwrap()
    }

    #[test]
    fn a_number_is_a_number_and_nothing_else() {
        assert_eq!(number(b" 71.5\n"), Some(figure(71.5)));
        assert_eq!(number(b"1e3"), Some(figure(1_000.0)));
        for none in ["", "71 %", "71\n72", "NaN", "+Inf", "seventy"] {
            assert_eq!(number(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn a_pointer_leads_to_a_number_or_says_why_not() {
        let json = br#"{"disk": {"free": 12, "used": "88.5", "name": "sda"}}"#;
        assert_eq!(pointed(json, "/disk/free"), Ok(figure(12.0)));
        assert_eq!(pointed(json, "/disk/used"), Ok(figure(88.5)));
        assert!(
            pointed(json, "/disk/size")
                .unwrap_err()
                .contains("has no /disk/size")
        );
        assert!(
            pointed(json, "/disk/name")
                .unwrap_err()
                .contains("is no number")
        );
        assert!(pointed(b"12", "").is_ok());
        assert!(pointed(b"<html>", "/a").unwrap_err().contains("no JSON"));
    }

    #[test]
    fn prometheus_gives_one_number_or_none() {
        let vector = |result: &str| {
            let text = format!(
                r#"{{"status":"success","data":{{"resultType":"vector","result":{result}}}}}"#
            );
            prometheus(text.as_bytes())
        };
        let one = r#"{"metric":{},"value":[1700000000.1,"0.72"]}"#;
        assert_eq!(vector(&format!("[{one}]")), Ok(figure(0.72)));
        assert!(vector("[]").unwrap_err().contains("knows nothing"));
        assert!(
            vector(&format!("[{one},{one}]"))
                .unwrap_err()
                .contains("2 series")
        );
        let nan = one.replace("0.72", "NaN");
        assert!(
            vector(&format!("[{nan}]"))
                .unwrap_err()
                .contains("no number")
        );
        let scalar =
            br#"{"status":"success","data":{"resultType":"scalar","result":[1700000000,"3"]}}"#;
        assert_eq!(prometheus(scalar), Ok(figure(3.0)));
        let matrix = br#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
        assert!(prometheus(matrix).unwrap_err().contains("instant query"));
        let wrong =
            br#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}"#;
        assert!(prometheus(wrong).unwrap_err().contains("unexpected end"));
    }

    #[test]
    fn a_query_is_encoded_behind_the_servers_own_path() {
        assert_eq!(
            prometheus_target("/prom/?x=1", "max(cpu{job=\"db\"})"),
            "/prom/api/v1/query?query=max%28cpu%7Bjob%3D%22db%22%7D%29"
        );
        assert_eq!(prometheus_target("/", "up"), "/api/v1/query?query=up");
    }
}
