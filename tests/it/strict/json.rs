//! JSON as the server writes it, which is less than what JSON is: no white space, whole numbers only, no name twice. A
//! library would forgive all of that, and forget in which order members stood.

/// A value, its members in their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    Null,
    Number(u64),
    Text(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl Value {
    /// What kind of value it is, for complaints.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Bool(_) => "a truth value",
            Value::Null => "null",
            Value::Number(_) => "a number",
            Value::Text(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }
}

/// Reads one value that is all of `text`.
pub fn parse(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("no UTF-8: {error}"))?;
    let mut reader = Reader { text, at: 0 };
    let value = reader.value()?;
    if reader.at == text.len() { Ok(value) } else { Err(reader.fault("nothing more")) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn fault(&self, expected: &str) -> String {
        format!("byte {}: {expected} expected, but {:.20?} found", self.at, self.rest())
    }

    fn skip(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.skip(word) { Ok(()) } else { Err(self.fault(word)) }
    }

    fn value(&mut self) -> Result<Value, String> {
        for (word, value) in [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)] {
            if self.skip(word) {
                return Ok(value);
            }
        }
        match self.rest().as_bytes().first() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => self.string().map(Value::Text),
            _ => self.number(),
        }
    }

    fn object(&mut self) -> Result<Value, String> {
        self.expect("{")?;
        let mut members: Vec<(String, Value)> = Vec::new();
        while !self.skip("}") {
            if !members.is_empty() {
                self.expect(",")?;
            }
            let name = self.string()?;
            self.expect(":")?;
            if members.iter().any(|(other, _)| *other == name) {
                return Err(self.fault(&format!("`{name}` once only")));
            }
            members.push((name, self.value()?));
        }
        Ok(Value::Object(members))
    }

    fn array(&mut self) -> Result<Value, String> {
        self.expect("[")?;
        let mut elements = Vec::new();
        while !self.skip("]") {
            if !elements.is_empty() {
                self.expect(",")?;
            }
            elements.push(self.value()?);
        }
        Ok(Value::Array(elements))
    }

    fn number(&mut self) -> Result<Value, String> {
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let text = &self.rest()[..digits];
        let is_padded = digits > 1 && text.starts_with('0');
        let number = text.parse().ok().filter(|_| !is_padded).ok_or_else(|| self.fault("a whole number"))?;
        self.at += digits;
        Ok(Value::Number(number))
    }

    fn string(&mut self) -> Result<String, String> {
        self.expect("\"")?;
        let mut out = String::new();
        loop {
            let Some(next) = self.rest().chars().next() else { return Err(self.fault("the string's end")) };
            match next {
                '"' => {
                    self.at += 1;
                    return Ok(out);
                }
                '\\' => out.push(self.escape()?),
                control if control < ' ' => return Err(self.fault("no control byte")),
                plain => {
                    self.at += plain.len_utf8();
                    out.push(plain);
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let escapes = [('"', '"'), ('\\', '\\'), ('/', '/'), ('n', '\n'), ('r', '\r'), ('t', '\t'), ('b', '\u{8}')];
        let letter = self.rest().chars().nth(1);
        if let Some((_, meant)) = escapes.iter().find(|(escape, _)| Some(*escape) == letter) {
            self.at += 2;
            return Ok(*meant);
        }
        // Pairs of halves are for what UTF-8 can write as it is.
        let digits = self.rest().get(2..6).filter(|_| letter == Some('u'));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
        let code = code.ok_or_else(|| self.fault("an escape"))?;
        self.at += 6;
        Ok(code)
    }
}

#[test]
fn what_clients_might_stumble_over_is_no_json_here() {
    let good = r#"{"a":[1,0,{"b":"é\"\u0001\n"}],"c":{},"d":[],"e":null,"f":true}"#;
    assert!(parse(good.as_bytes()).is_ok());
    for bad in [
        "",
        "{",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{\"a\" :1}",
        "{\"a\":1,\"a\":1}",
        "[1] ",
        "[1]x",
        "01",
        "-1",
        "1.0",
        "1e3",
        "\"\n\"",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"",
        "'a'",
        "NaN",
        "99999999999999999999999",
    ] {
        assert!(parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(parse(b"\"\xff\"").is_err());
}
