//! The demo without the server: its config, its partners, its page.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

const ANY: &str = "127.0.0.1:0";

async fn started() -> Demo {
    let addresses =
        Addresses { data: "127.0.0.1:8080".parse().unwrap(), admin: ANY.parse().unwrap(), page: ANY.parse().unwrap() };
    start(addresses).await.unwrap()
}

/// One request on a connection of which nothing else is expected.
async fn ask(stream: &mut TcpStream, method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    let head = "Host: demo\r\nContent-Type: application/json\r\n";
    let request = format!("{method} {path} HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let mut bytes = [0; 65_536];
    loop {
        let count = stream.read(&mut bytes).await.unwrap();
        assert!(count > 0, "the connection stays open: {answer}");
        answer.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        if body.len() >= length.parse().unwrap() {
            return answer;
        }
    }
}

fn partner_addresses(config: &str) -> Vec<SocketAddr> {
    let file = file::parse(config, "demo.toml").unwrap();
    let addresses = file.partners.iter().map(|partner| partner.addresses.as_ref().unwrap().get_ref()[0]);
    addresses.map(|address| (address.ip, address.port.unwrap()).into()).collect()
}

#[tokio::test]
async fn the_config_is_valid_and_whole() {
    let demo = started().await;
    assert!(!demo.config.contains('@') || demo.config.matches('@').count() == demo.config.matches("@AdobeOrg").count());
    let file = file::parse(&demo.config, "demo.toml").unwrap();
    assert_eq!((file.partners.len(), file.destinations.len()), (2, 2));
    assert!(file.traits.len() >= 12 && file.segments.len() >= 8);
}

/// Every code that a toy partner can answer is a trait of its data source, and every such trait can be caused.
#[tokio::test]
async fn partners_and_traits_agree() {
    let file = file::parse(&started().await.config, "demo.toml").unwrap();
    let products = ["camera", "lens", "tent", "boots", "laptop", "headphones", "flight-lisbon", "hotel-kyoto", "sofa"];
    for toy in [&partners::SWIFT, &partners::TORTOISE] {
        let partner = file.partners.iter().find(|partner| partner.name.get_ref() == toy.name).unwrap();
        let mut codes: Vec<&str> = products.iter().flat_map(|product| (toy.knows)(product)).copied().collect();
        codes.sort();
        codes.dedup();
        let traits = file.traits.iter().filter(|entry| entry.data_source.get_ref() == partner.data_source.get_ref());
        let mut configured: Vec<&str> =
            traits.map(|entry| entry.integration_code.as_ref().unwrap().get_ref().as_str()).collect();
        configured.sort();
        assert_eq!(codes, configured, "{}", toy.name);
    }
}

#[tokio::test]
async fn partners_answer_over_one_connection() {
    let demo = started().await;
    let mut swift = TcpStream::connect(partner_addresses(&demo.config)[0]).await.unwrap();
    let lookup = |product: &str| format!(r#"{{"user":{{"id":"7"}},"product":"{product}","tmax":45}}"#);
    let answer = ask(&mut swift, "POST", "/segments", &lookup("camera")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with(r#"{"segment":[{"segment_id":"photo-enthusiast"}]}"#), "{answer}");
    let answer = ask(&mut swift, "POST", "/segments", &lookup("sofa")).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");

    let mut page = TcpStream::connect(demo.page).await.unwrap();
    let seen = ask(&mut page, "GET", "/demo/log?visitor=7", "").await;
    assert!(seen.contains(r#""product":"camera""#) && seen.contains(r#""timeout_ms":45"#), "{seen}");
}

#[tokio::test]
async fn the_slow_partner_misses_the_budget() {
    let demo = started().await;
    let file = file::parse(&demo.config, "demo.toml").unwrap();
    let late = partners::TORTOISE.thinks.as_millis() as u32;
    let budget_ms = *file.accounts[0].budget_ms.get_ref();
    assert!(late > 2 * budget_ms && late < budget_ms + file.partners[1].late_ms.get_ref());
    assert!(partners::SWIFT.thinks.as_millis() as u32 * 4 < budget_ms);
}

#[tokio::test]
async fn the_page_knows_names_and_where_to_call() {
    let demo = started().await;
    let mut page = TcpStream::connect(demo.page).await.unwrap();
    for path in ["/", "/demo"] {
        assert!(ask(&mut page, "GET", path, "").await.contains("<title>"));
    }
    let names = ask(&mut page, "GET", "/demo/names", "").await;
    let names: serde_json::Value = serde_json::from_str(names.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((&names["data_port"], &names["budget_ms"]), (&8080.into(), &50.into()));
    assert_eq!(names["traits"]["2001"]["partner"], "swift");
    assert_eq!(names["segments"]["15"]["rule"], "3001T");
    let pixel = ask(&mut page, "GET", "/demo/log?visitor=9", "").await;
    assert!(pixel.contains("\"entries\":[]"), "{pixel}");
}

/// The page must not depend on, or tell anything to, another server.
#[test]
fn the_page_has_no_external_resources() {
    let page = include_str!("page.html");
    for (at, _) in page.match_indices("http") {
        let rest = &page[at..page.floor_char_boundary(at + 40)];
        assert!(rest.starts_with("http://${") || rest.starts_with("http://www.w3.org/"), "{rest}");
    }
}
