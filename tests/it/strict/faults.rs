//! Answers that must pass, and the same ones with a fault that must not.

use super::{JSON, SCRIPT, check};

const EVENT: &str = concat!(
    r#"{"stuff":[{"cn":"n","cv":"v=1","ttl":30,"dmn":".a.example"}],"uuid":"00000000000000000010000000000000000002","#,
    r#""dcs_region":6,"dests":[{"id":"1","y":"img","c":"http://a/","e":"https://a/"}],"traits":[1,2],"segments":[3],"#,
    r#""errors":[{"code":101,"msg":"m"},{"code":309,"msg":"o"},{"code":309,"msg":"o"}],"tid":"AAAAAAAAAAA="}"#,
);
const ID: &str = concat!(
    r#"{"d_mid":"12-ab","id_sync_ttl":604800,"d_blob":"a-_Z","dcs_region":6,"d_ottl":7200,"#,
    r#""ibs":[{"id":"4","ttl":10080,"tag":"img","fireURLSync":1,"syncOnPage":0,"url":["//a/b"]}],"subdomain":"shop","#,
    r#""errors":[{"code":101,"msg":"m"},{"code":309,"msg":"o"},{"code":309,"msg":"o"}],"error_msg":"m; o; o","#,
    r#""tid":"AAAAAAAAAAA="}"#,
);
const OUT: &str = concat!(
    r#"{"id_sync_ttl":604800,"dcs_region":6,"d_optout":["global"],"d_ottl":7200,"ibs":[],"subdomain":"shop","#,
    r#""errors":[{"code":171,"msg":"m"}],"error_msg":"m","tid":"AAAAAAAAAAA="}"#,
);

fn head(content_type: &str, errors: &str) -> String {
    let errors = if errors.is_empty() { String::new() } else { format!("\r\nX-Error: {errors}") };
    format!(
        "HTTP/1.1 200 OK\r\nX-Content-Type-Options: nosniff\r\nX-TID: AAAAAAAAAAA=\r\n\
         Content-Type: {content_type}{errors}"
    )
}

#[track_caller]
fn passes(content_type: &str, errors: &str, body: &str, path: &str) {
    assert_eq!(check(&head(content_type, errors), body.as_bytes(), Some(path)), Ok(()), "{body}");
}

#[test]
fn answers_as_they_must_be_pass() {
    const ERRORS: &str = "101,309,309";
    passes(JSON, ERRORS, EVENT, "/event");
    passes(SCRIPT, ERRORS, &format!("/**/s_c_il[1].cb({EVENT});"), "/event");
    passes(JSON, ERRORS, ID, "/id");
    passes(JSON, "171", OUT, "/id/rd");
    passes(JSON, "", r#"{"d_optout":[],"d_ottl":7200}"#, "/optOutStatus");
    passes(JSON, "", r#"{"d_optout":["global","account"],"d_ottl":7200}"#, "/demoptout");
    passes(SCRIPT, "109", r#"/**/f({"errors":[{"code":109,"msg":"m"}]});"#, "/id");
    passes(JSON, "1", r#"{"stuff":[],"errors":[{"code":1,"msg":"m"}],"tid":"AAAAAAAAAAA="}"#, "/event");
    // What is no JSON is none of this module's business.
    passes("image/gif", "", "GIF89a", "/event");
    passes(SCRIPT, "", "(function () {})();", "/pinion.js");
}

/// In which answer, what is replaced, and by what.
const PLANTED: &[(&str, &str, &str)] = &[
    // Types.
    (EVENT, "\"dcs_region\":6", "\"dcs_region\":\"6\""),
    (EVENT, "\"ttl\":30", "\"ttl\":\"30\""),
    (EVENT, "\"ttl\":30", "\"ttl\":30.0"),
    (EVENT, "\"ttl\":30", "\"ttl\":3000000000"),
    (EVENT, "\"id\":\"1\"", "\"id\":1"),
    (EVENT, "\"e\":\"https://a/\"", "\"e\":null"),
    (EVENT, "\"uuid\":\"00000000000000000010000000000000000002\"", "\"uuid\":null"),
    (EVENT, "\"traits\":[1,2]", "\"traits\":[\"1\",2]"),
    (EVENT, "\"segments\":[3]", "\"segments\":null"),
    (EVENT, "\"code\":101", "\"code\":\"101\""),
    (EVENT, "\"msg\":\"m\"", "\"msg\":5"),
    (EVENT, "\"stuff\":[{", "\"stuff\":[[],{"),
    (ID, "604800", "\"604800\""),
    (ID, "7200", "\"7200\""),
    (ID, "\"id\":\"4\"", "\"id\":4"),
    (ID, "\"fireURLSync\":1", "\"fireURLSync\":true"),
    (ID, "\"syncOnPage\":0", "\"syncOnPage\":2"),
    (ID, "[\"//a/b\"]", "\"//a/b\""),
    (OUT, "[\"global\"]", "\"global\""),
    // Forms.
    (EVENT, "00000000000000000010000000000000000002", "0000000000000000001000000000000000000x"),
    (EVENT, "00000000000000000010000000000000000002", "99999999999999999990000000000000000002"),
    (EVENT, "\"tid\":\"AAAAAAAAAAA=\"", "\"tid\":\"AAAAAAAAAAB=\""),
    (EVENT, "\"tid\":\"AAAAAAAAAAA=\"", "\"tid\":\"AAA=\""),
    (EVENT, "\"y\":\"img\"", "\"y\":\"script\""),
    (EVENT, "\"traits\":[1,2]", "\"traits\":[1,1]"),
    (EVENT, "\"code\":101", "\"code\":103"),
    (ID, "12-ab", "12_ab"),
    (ID, "a-_Z", "a+/Z"),
    (ID, "[\"//a/b\"]", "[]"),
    (OUT, "[\"global\"]", "[]"),
    (OUT, "global", "local"),
    (OUT, "global", "account"),
    // Members that are missing, unknown or elsewhere.
    (EVENT, "\"stuff\":[{\"cn\":\"n\",\"cv\":\"v=1\",\"ttl\":30,\"dmn\":\".a.example\"}],", ""),
    (EVENT, "\"uuid\":\"00000000000000000010000000000000000002\",", ""),
    (EVENT, "\"dcs_region\":6,", ""),
    (EVENT, ",\"tid\":\"AAAAAAAAAAA=\"", ""),
    (EVENT, ",\"dmn\":\".a.example\"", ""),
    (EVENT, "\"y\":\"img\",", ""),
    (EVENT, "\"c\":\"http://a/\",", "\"c\":\"http://a/\",\"hr\":\"1\","),
    (EVENT, "\"traits\":[1,2],\"segments\":[3]", "\"segments\":[3],\"traits\":[1,2]"),
    (EVENT, "\"dcs_region\":6", "\"dcs_region\":6,\"region\":6"),
    (EVENT, "\"dcs_region\":6", "\"dcs_region\":6,\"dcs_region\":6"),
    (ID, "\"subdomain\":\"shop\",", ""),
    (ID, "\"subdomain\":\"shop\"", "\"subdomain\":\"\""),
    (ID, "\"d_mid\":\"12-ab\",", ""),
    (ID, "\"d_blob\":\"a-_Z\",", ""),
    (ID, "\"d_ottl\":7200,", ""),
    (ID, "\"ibs\":[{", "\"ibs\":[{},{"),
    (OUT, "\"d_optout\":[\"global\"],", ""),
    // Errors.
    (EVENT, "{\"code\":101,\"msg\":\"m\"},", ""),
    (EVENT, "\"code\":309,\"msg\":\"o\"},{\"code\":309", "\"code\":309,\"msg\":\"o\"},{\"code\":102"),
    (EVENT, "\"code\":101", "\"code\":171"),
    (ID, "m; o; o", "m"),
    (ID, "\"error_msg\":\"m; o; o\",", ""),
    // No JSON as it is written here.
    (EVENT, "\"dcs_region\":6", "\"dcs_region\": 6"),
    (EVENT, "[1,2]", "[1,2,]"),
    (EVENT, "=\"}", "=\"}\n"),
    (EVENT, "v=1", "v=\n"),
];

#[test]
fn planted_faults_are_refused() {
    for (answer, from, to) in PLANTED {
        assert!(answer.contains(from), "nothing to replace: {from}");
        let body = answer.replacen(from, to, 1);
        // The header follows what is planted among the codes, so that it is not what is refused.
        let codes: Vec<&str> =
            body.split("\"code\":").skip(1).map(|rest| rest.split([',', '}']).next().unwrap()).collect();
        let errors = if to.is_empty() && from.contains("code") { "101,309,309".to_owned() } else { codes.join(",") };
        let path = if *answer == EVENT { "/event" } else { "/id" };
        let found = check(&head(JSON, &errors), body.as_bytes(), Some(path));
        assert!(found.is_err(), "{from} became {to}, and nobody minds");
    }
}

#[test]
fn heads_and_callbacks_are_looked_at_too() {
    let good = head(JSON, "101,309,309");
    for bad in [
        good.replace("X-Error: 101,309,309", "X-Error: 101,309"),
        good.replace("X-Error: 101,309,309", "X-Error: 309,309,101"),
        good.replace("\r\nX-Error: 101,309,309", ""),
        good.replace("X-TID: AAAAAAAAAAA=", "X-TID: BAAAAAAAAAA="),
        good.replace("200 OK", "500 Oh"),
        good.replace("nosniff", "sniff"),
        good.replace(JSON, "application/json"),
        good.replace(JSON, "text/json;charset=utf-8"),
    ] {
        assert!(check(&bad, EVENT.as_bytes(), Some("/event")).is_err(), "{bad}");
    }
    assert!(check(&good, EVENT.as_bytes(), Some("/id")).is_err(), "an answer of another path");
    assert!(check(&good, br#"{"errors":[{"code":101,"msg":"m"}]}"#, Some("/event")).is_err(), "errors and no script");
    let script = head(SCRIPT, "101,309,309");
    for bad in ["/**/alert(1)({E});", "/**/({E});", "/**/f({E})", "/**/f{E};", "/**/f({E};"] {
        assert!(check(&script, bad.replace("{E}", EVENT).as_bytes(), Some("/event")).is_err(), "{bad}");
    }
}
