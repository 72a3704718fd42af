//! The structs of TCLIService that this mock answers with. Field numbers and codes are those of the ttypes.py that
//! databricks-sql-connector 4.9.0 brings along.

use super::binary::Value;
use crate::ids;
use crate::rest::sql::{Cell, Rows, is_of_integers};

/// SPARK_CLI_SERVICE_PROTOCOL_V7, the one that the connector asks for.
const PROTOCOL: i32 = 42247;
const SUCCESS: i32 = 0;
const ERROR: i32 = 3;
const INVALID_HANDLE: i32 = 4;
const FINISHED: i32 = 2;
const EXECUTE_STATEMENT: i32 = 0;
const COLUMN_BASED_SET: i32 = 1;
const INT_TYPE: i32 = 3;
const STRING_TYPE: i32 = 7;
/// Where TColumn has 32-bit integers, and text.
const I32_COLUMN: i16 = 4;
const STRING_COLUMN: i16 = 7;

fn success() -> Value {
    Value::Struct(vec![(1, Value::I32(SUCCESS))])
}

/// An answer that holds nothing but its status, which every answer of TCLIService has first.
pub(super) fn done() -> Value {
    Value::Struct(vec![(1, success())])
}

fn failed(status: i32, sql_state: &str, message: &str) -> Value {
    let status = vec![(1, Value::I32(status)), (3, Value::text(sql_state)), (5, Value::text(message))];
    Value::Struct(vec![(1, Value::Struct(status))])
}

pub(super) fn invalid_handle(what: &str) -> Value {
    failed(INVALID_HANDLE, "HY000", &format!("Invalid {what}: no such {what} of this principal."))
}

pub(super) fn unsupported(method: &str) -> Value {
    failed(ERROR, "0A000", &format!("{method} is not in this mock."))
}

/// THandleIdentifier. The secret follows from the id, so that it can be checked without being kept.
fn handle(id: &str) -> Value {
    Value::Struct(vec![(1, Value::Binary(ids::uuid_bytes(id))), (2, Value::Binary(secret(id)))])
}

fn secret(id: &str) -> Vec<u8> {
    let digest = ids::sha256_hex(&format!("thrift {id}"));
    ids::uuid_bytes(digest.get(..32).unwrap_or_default())
}

/// The id in a session's or an operation's handle, if its secret is right.
pub(super) fn handle_id(handle: &Value) -> Option<String> {
    let identifier = handle.field(1)?;
    let id = ids::uuid_text(identifier.field(1)?.bytes()?.try_into().ok()?);
    (identifier.field(2)?.bytes()? == secret(&id)).then_some(id)
}

/// TOpenSessionResp
pub(super) fn session_opened(id: &str, namespace: Option<&Value>) -> Value {
    let mut fields = vec![
        (1, success()),
        (2, Value::I32(PROTOCOL)),
        (3, Value::Struct(vec![(1, handle(id)), (3329, Value::I32(PROTOCOL))])),
        (4, Value::Map(vec![])),
    ];
    fields.extend(namespace.map(|namespace| (1284, namespace.clone())));
    fields.push((1285, Value::Bool(true)));
    Value::Struct(fields)
}

/// TExecuteStatementResp; with `rows` the whole result comes along, and the operation is closed.
pub(super) fn executed(id: &str, rows: Option<&Rows>) -> Value {
    let operation = vec![(1, handle(id)), (2, Value::I32(EXECUTE_STATEMENT)), (3, Value::Bool(true))];
    let mut fields = vec![(1, success()), (2, Value::Struct(operation))];
    if let Some(rows) = rows {
        let direct = vec![(1, operation_status()), (2, metadata(rows)), (3, fetched(rows)), (4, done())];
        fields.push((1281, Value::Struct(direct)));
    }
    Value::Struct(fields)
}

/// TGetOperationStatusResp
pub(super) fn operation_status() -> Value {
    Value::Struct(vec![(1, success()), (2, Value::I32(FINISHED)), (9, Value::Bool(true))])
}

/// TGetResultSetMetadataResp
pub(super) fn metadata(rows: &Rows) -> Value {
    let columns = rows.by_column().zip(1..).map(|((name, cells), position)| {
        let type_id = if is_of_integers(&cells) { INT_TYPE } else { STRING_TYPE };
        let primitive = Value::Struct(vec![(1, Value::I32(type_id))]);
        let entry = Value::Struct(vec![(1, primitive)]);
        let description = Value::Struct(vec![(1, Value::List(vec![entry]))]);
        Value::Struct(vec![(1, Value::text(name)), (2, description), (3, Value::I32(position))])
    });
    Value::Struct(vec![
        (1, success()),
        (2, Value::Struct(vec![(1, Value::List(columns.collect()))])),
        (1281, Value::I32(COLUMN_BASED_SET)),
        (1282, Value::Bool(false)),
        (1287, Value::Bool(false)),
    ])
}

/// TFetchResultsResp
pub(super) fn fetched(rows: &Rows) -> Value {
    let width = i32::try_from(rows.columns.len()).unwrap_or(i32::MAX);
    let columns = rows.by_column().map(|(_, cells)| column(&cells)).collect();
    let row_set = Value::Struct(vec![
        (1, Value::I64(0)),
        (2, Value::List(vec![])),
        (3, Value::List(columns)),
        (5, Value::I32(width)),
    ]);
    Value::Struct(vec![(1, success()), (2, Value::Bool(false)), (3, row_set), (1281, metadata(rows))])
}

/// TColumn: the values, and a bit for each that is null.
fn column(cells: &[&Cell]) -> Value {
    let integers = is_of_integers(cells);
    let value = |cell: &&Cell| match cell {
        Cell::Int(number) if integers => Value::I32(*number),
        _ if integers => Value::I32(0),
        cell => Value::text(&cell.text().unwrap_or_default()),
    };
    let nulls = cells.chunks(8).map(|byte| {
        let bits = byte.iter().zip(0..).filter(|(cell, _)| ***cell == Cell::Null);
        bits.fold(0_u8, |byte, (_, at)| byte | 1_u8.wrapping_shl(at))
    });
    let values = vec![(1, Value::List(cells.iter().map(value).collect())), (2, Value::Binary(nulls.collect()))];
    Value::Struct(vec![(if integers { I32_COLUMN } else { STRING_COLUMN }, Value::Struct(values))])
}

/// TApplicationException: a method that the service does not have.
pub(super) fn unknown_method(method: &str) -> Value {
    const UNKNOWN_METHOD: i32 = 1;
    let message = format!("Invalid method name: '{method}'");
    Value::Struct(vec![(1, Value::text(&message)), (2, Value::I32(UNKNOWN_METHOD))])
}
