//! Reads answers off a connection, in whatever pieces they come. It is not the server's own parser: a generator that
//! shared the server's mistakes would not see them.

/// The longest line of a head, in bytes.
const LINE_BYTES_MAX: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The server says in `X-Error` that something was wrong with the call.
    pub has_error: bool,
    /// The server will close the connection.
    pub closes: bool,
}

/// What came is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbage;

#[derive(Clone, Debug, Default)]
pub struct Reader {
    state: State,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    answer: Answer,
    body: Body,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Status,
    Headers,
    /// So many bytes, and then all is there.
    Body(u64),
    ChunkSize,
    /// So many bytes, line end included.
    Chunk(u64),
    Trailer,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Body {
    #[default]
    None,
    Length(u64),
    Chunked,
}

impl Reader {
    /// Takes what came and calls `take` for each answer that is complete with it.
    ///
    /// # Errors
    /// [`Garbage`]: nothing more can be read from this connection.
    pub fn feed(&mut self, mut bytes: &[u8], mut take: impl FnMut(Answer)) -> Result<(), Garbage> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Body(left) | State::Chunk(left) => {
                    let taken = (*left).min(bytes.len() as u64);
                    *left -= taken;
                    bytes = &bytes[taken as usize..];
                    match self.state {
                        State::Body(0) => take(self.finish()),
                        State::Chunk(0) => self.state = State::ChunkSize,
                        _ => {}
                    }
                }
                _ => {
                    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                        if self.line.len() + bytes.len() > LINE_BYTES_MAX {
                            return Err(Garbage);
                        }
                        self.line.extend_from_slice(bytes);
                        return Ok(());
                    };
                    let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
                    bytes = rest;
                    let is_complete = if self.line.is_empty() {
                        self.take_line(line)?
                    } else {
                        let mut whole = std::mem::take(&mut self.line);
                        whole.extend_from_slice(line);
                        let result = self.take_line(&whole);
                        whole.clear();
                        self.line = whole;
                        result?
                    };
                    if is_complete {
                        take(self.finish());
                    }
                }
            }
        }
        Ok(())
    }

    /// Nothing of an answer has come yet.
    pub fn is_between(&self) -> bool {
        self.state == State::Status && self.line.is_empty()
    }

    pub fn reset(&mut self) {
        self.line.clear();
        (self.state, self.answer, self.body) = (State::Status, Answer::default(), Body::None);
    }

    fn finish(&mut self) -> Answer {
        let answer = self.answer;
        self.reset();
        answer
    }

    /// One line without its end. `true`: the answer is complete.
    fn take_line(&mut self, line: &[u8]) -> Result<bool, Garbage> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.state {
            State::Status => {
                let status = line.strip_prefix(b"HTTP/1.1 ").or(line.strip_prefix(b"HTTP/1.0 ")).ok_or(Garbage)?;
                self.answer.status = number(status.get(..3).ok_or(Garbage)?, 10)? as u16;
                self.answer.closes = line.starts_with(b"HTTP/1.0");
                self.state = State::Headers;
                Ok(false)
            }
            State::Headers if line.is_empty() => Ok(self.end_of_head()),
            State::Headers => self.header(line).map(|()| false),
            State::ChunkSize => {
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
                self.state = match number(digits.trim_ascii(), 16)? {
                    0 => State::Trailer,
                    size => State::Chunk(size + 2),
                };
                Ok(false)
            }
            State::Trailer => Ok(line.is_empty()),
            State::Body(_) | State::Chunk(_) => Err(Garbage),
        }
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Garbage> {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Err(Garbage) };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            self.body = Body::Length(number(value, 10)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.body = Body::Chunked;
        } else if name.eq_ignore_ascii_case(b"x-error") {
            self.answer.has_error = true;
        } else if name.eq_ignore_ascii_case(b"connection") {
            self.answer.closes = value.eq_ignore_ascii_case(b"close");
        }
        Ok(())
    }

    fn end_of_head(&mut self) -> bool {
        if self.answer.status < 200 {
            self.reset();
            return false;
        }
        let has_no_body = [204, 304].contains(&self.answer.status);
        match self.body {
            Body::Length(length) if length > 0 && !has_no_body => self.state = State::Body(length),
            Body::Chunked if !has_no_body => self.state = State::ChunkSize,
            _ => return true,
        }
        false
    }
}

fn number(digits: &[u8], radix: u32) -> Result<u64, Garbage> {
    let text = std::str::from_utf8(digits).map_err(|_| Garbage)?;
    let number = u64::from_str_radix(text, radix).map_err(|_| Garbage)?;
    if number > u64::from(u32::MAX) { Err(Garbage) } else { Ok(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Error: 10\r\n\r\nhello\
        HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n10\r\n0123456789abcdef\r\n\
        0\r\nA: b\r\n\r\n\
        HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n";

    fn read(pieces: &[&[u8]]) -> Result<Vec<Answer>, Garbage> {
        let (mut reader, mut answers) = (Reader::default(), Vec::new());
        for piece in pieces {
            reader.feed(piece, |answer| answers.push(answer))?;
        }
        assert!(reader.is_between());
        Ok(answers)
    }

    #[test]
    fn answers_are_read_whole_and_in_any_pieces() {
        let expected = [(200, true, false), (204, false, true), (200, false, false), (302, false, false)]
            .map(|(status, has_error, closes)| Answer { status, has_error, closes });
        assert_eq!(read(&[TEXT]).unwrap(), expected);
        for cut in 1..TEXT.len() {
            assert_eq!(read(&[&TEXT[..cut], &TEXT[cut..]]).unwrap(), expected, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = TEXT.chunks(1).collect();
        assert_eq!(read(&bytes).unwrap(), expected);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for text in [
            "SSH-2.0\r\n",
            "HTTP/1.1 2x0 OK\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n",
            "HTTP/1.1 200\r\nContent-Length: 99999999999\r\n\r\n",
        ] {
            assert_eq!(read(&[text.as_bytes()]), Err(Garbage), "{text}");
        }
    }
}
