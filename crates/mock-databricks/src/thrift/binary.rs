//! Thrift's binary protocol, as far as TCLIService needs it: values without a schema, by field number.

/// A value. Sets are lists here, and bytes and the 16-bit integer (which no answer needs) come in as [`Value::I64`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Double(f64),
    I32(i32),
    I64(i64),
    Binary(Vec<u8>),
    Struct(Vec<(i16, Self)>),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageType {
    Call,
    Reply,
    Exception,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    pub(super) kind: MessageType,
    pub(super) name: String,
    pub(super) sequence: i32,
    /// Always a struct: the arguments, the result or the exception.
    pub(super) body: Value,
}

const VERSION_1: u32 = 0x8001_0000;
const STOP: u8 = 0;
const BOOL: u8 = 2;
const BYTE: u8 = 3;
const DOUBLE: u8 = 4;
const I16: u8 = 6;
const I32: u8 = 8;
const I64: u8 = 10;
const STRING: u8 = 11;
const STRUCT: u8 = 12;
const MAP: u8 = 13;
const SET: u8 = 14;
const LIST: u8 = 15;
/// Deeper than any message of TCLIService.
const MAX_DEPTH: u8 = 32;

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Binary(text.as_bytes().to_vec())
    }

    /// The field of a struct.
    pub(super) fn field(&self, id: i16) -> Option<&Self> {
        let Self::Struct(fields) = self else { return None };
        fields.iter().find(|(field, _)| *field == id).map(|(_, value)| value)
    }

    pub(super) fn bytes(&self) -> Option<&[u8]> {
        if let Self::Binary(bytes) = self { Some(bytes) } else { None }
    }

    pub(super) fn str(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn type_id(&self) -> u8 {
        match self {
            Self::Bool(_) => BOOL,
            Self::Double(_) => DOUBLE,
            Self::I32(_) => I32,
            Self::I64(_) => I64,
            Self::Binary(_) => STRING,
            Self::Struct(_) => STRUCT,
            Self::List(_) => LIST,
            Self::Map(_) => MAP,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(value) => out.push(u8::from(*value)),
            Self::Double(value) => out.extend_from_slice(&value.to_be_bytes()),
            Self::I32(value) => out.extend_from_slice(&value.to_be_bytes()),
            Self::I64(value) => out.extend_from_slice(&value.to_be_bytes()),
            Self::Binary(bytes) => {
                write_length(bytes.len(), out);
                out.extend_from_slice(bytes);
            }
            Self::Struct(fields) => {
                for (id, value) in fields {
                    out.push(value.type_id());
                    out.extend_from_slice(&id.to_be_bytes());
                    value.write(out);
                }
                out.push(STOP);
            }
            Self::List(items) => {
                // no element tells the type of an empty list; all such lists here are lists of structs
                out.push(items.first().map_or(STRUCT, Self::type_id));
                write_length(items.len(), out);
                items.iter().for_each(|item| item.write(out));
            }
            Self::Map(entries) => {
                let (key, value) = entries.first().map_or((STRING, STRING), |(k, v)| (k.type_id(), v.type_id()));
                out.extend_from_slice(&[key, value]);
                write_length(entries.len(), out);
                for (key, value) in entries {
                    key.write(out);
                    value.write(out);
                }
            }
        }
    }
}

fn write_length(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes());
}

impl Message {
    pub(super) fn write(&self) -> Vec<u8> {
        let kind: u32 = match self.kind {
            MessageType::Call => 1,
            MessageType::Reply => 2,
            MessageType::Exception => 3,
        };
        let mut out = (VERSION_1 | kind).to_be_bytes().to_vec();
        Value::text(&self.name).write(&mut out);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        self.body.write(&mut out);
        out
    }

    /// A message, if the bytes are exactly one.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(bytes);
        let kind = match u32::from_be_bytes(input.array()?) ^ VERSION_1 {
            1 => MessageType::Call,
            2 => MessageType::Reply,
            3 => MessageType::Exception,
            _ => return None,
        };
        let name = input.value(STRING, 0)?.str()?.to_owned();
        let sequence = i32::from_be_bytes(input.array()?);
        let body = input.value(STRUCT, 0)?;
        input.0.is_empty().then_some(Self { kind, name, sequence, body })
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A length that what is left could hold, each item being at least a byte.
    fn length(&mut self) -> Option<usize> {
        usize::try_from(i32::from_be_bytes(self.array()?)).ok().filter(|length| *length <= self.0.len())
    }

    fn value(&mut self, type_id: u8, depth: u8) -> Option<Value> {
        let depth = depth.checked_add(1).filter(|depth| *depth <= MAX_DEPTH)?;
        Some(match type_id {
            BOOL => Value::Bool(self.byte()? != 0),
            BYTE => Value::I64(i8::from_be_bytes(self.array()?).into()),
            I16 => Value::I64(i16::from_be_bytes(self.array()?).into()),
            DOUBLE => Value::Double(f64::from_be_bytes(self.array()?)),
            I32 => Value::I32(i32::from_be_bytes(self.array()?)),
            I64 => Value::I64(i64::from_be_bytes(self.array()?)),
            STRING => {
                let length = self.length()?;
                Value::Binary(self.take(length)?.to_vec())
            }
            STRUCT => self.fields(depth)?,
            LIST | SET => self.items(depth)?,
            MAP => self.entries(depth)?,
            _ => return None,
        })
    }

    fn fields(&mut self, depth: u8) -> Option<Value> {
        let mut fields = Vec::new();
        loop {
            let type_id = self.byte()?;
            if type_id == STOP {
                return Some(Value::Struct(fields));
            }
            let id = i16::from_be_bytes(self.array()?);
            fields.push((id, self.value(type_id, depth)?));
        }
    }

    fn items(&mut self, depth: u8) -> Option<Value> {
        let type_id = self.byte()?;
        let length = self.length()?;
        (0..length).map(|_| self.value(type_id, depth)).collect::<Option<_>>().map(Value::List)
    }

    fn entries(&mut self, depth: u8) -> Option<Value> {
        let [key, value] = self.array()?;
        let length = self.length()?;
        let entries = (0..length).map(|_| Some((self.value(key, depth)?, self.value(value, depth)?)));
        entries.collect::<Option<_>>().map(Value::Map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Message {
        let map = Value::Map(vec![(Value::text("k"), Value::text("v"))]);
        let list = Value::List(vec![Value::I32(-1), Value::I32(2)]);
        let body = Value::Struct(vec![
            (1, Value::Bool(true)),
            (2, map),
            (1281, Value::Struct(vec![(1, list), (2, Value::I64(-5)), (3, Value::Double(0.5))])),
        ]);
        Message { kind: MessageType::Call, name: "OpenSession".into(), sequence: 7, body }
    }

    #[test]
    fn reads_what_it_writes() {
        assert_eq!(Message::read(&call().write()), Some(call()));
    }

    #[test]
    fn writes_what_the_reference_implementation_writes() {
        // thrift 0.25 (Python), TBinaryProtocol: message "x", CALL, 1, struct { 1: i32 = 258 }
        let bytes = b"\x80\x01\x00\x01\x00\x00\x00\x01x\x00\x00\x00\x01\x08\x00\x01\x00\x00\x01\x02\x00";
        let body = Value::Struct(vec![(1, Value::I32(258))]);
        let message = Message { kind: MessageType::Call, name: "x".into(), sequence: 1, body };
        assert_eq!(message.write(), bytes);
    }

    #[test]
    fn refuses_every_cut_and_any_excess() {
        let bytes = call().write();
        for length in 0..bytes.len() {
            assert_eq!(Message::read(&bytes[..length]), None, "{length}");
        }
        assert_eq!(Message::read(&[bytes, vec![0]].concat()), None);
    }

    #[test]
    fn refuses_depth_without_end() {
        let deep = (0..40).fold(Value::Struct(vec![]), |inner, _| Value::Struct(vec![(1, inner)]));
        let message = Message { kind: MessageType::Call, name: "x".into(), sequence: 1, body: deep };
        assert_eq!(Message::read(&message.write()), None);
    }
}
