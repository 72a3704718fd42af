//! The imports of the filter: from its memory to [`World`] and back.

use crate::world::{Answer, INTERNAL_FAILURE, Injected, NOT_FOUND, Stop, World};
use wasmtime::{Caller, Error, Linker, Memory, Result};

type Guest<'a> = Caller<'a, World>;

const ENV: &str = "env";
const WASI: &str = "wasi_snapshot_preview1";

fn memory(guest: &mut Guest<'_>) -> Memory {
    guest.get_export("memory").and_then(wasmtime::Extern::into_memory).expect("the module has a memory")
}

fn read(guest: &mut Guest<'_>, at: u32, length: u32) -> Result<Vec<u8>> {
    let memory = memory(guest);
    let bytes = memory.data(&guest).get(at as usize..).and_then(|rest| rest.get(..length as usize));
    bytes.map(<[u8]>::to_vec).ok_or_else(|| Error::msg("a hostcall points outside of the memory"))
}

fn write(guest: &mut Guest<'_>, at: u32, bytes: &[u8]) -> Result<()> {
    let memory = memory(guest);
    memory.write(guest, at as usize, bytes).map_err(Error::from)
}

fn status(answer: Answer<()>) -> Result<u32> {
    match answer {
        Ok(()) => Ok(0),
        Err(Stop::Status(status)) => Ok(status),
        Err(Stop::Misuse(misuse)) => Err(misuse.into()),
        Err(Stop::Injected) => Err(Injected.into()),
    }
}

/// Hands bytes over, in memory that the filter allocates.
fn give(guest: &mut Guest<'_>, answer: Answer<Option<Vec<u8>>>, data: u32, size: u32) -> Result<u32> {
    let bytes = match answer {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(NOT_FOUND),
        Err(stop) => return status(Err(stop)),
    };
    let length = u32::try_from(bytes.len())?;
    let mut at = 0;
    if length > 0 {
        let allocate = guest.get_export("proxy_on_memory_allocate").and_then(wasmtime::Extern::into_func);
        let allocate = allocate.expect("the module allocates").typed::<u32, u32>(&guest)?;
        at = allocate.call(&mut *guest, length)?;
        write(guest, at, &bytes)?;
    }
    write(guest, data, &at.to_le_bytes())?;
    write(guest, size, &length.to_le_bytes())?;
    Ok(0)
}

fn begin(guest: &mut Guest<'_>, call: &'static str) -> Result<()> {
    let world = guest.data_mut();
    world.host_calls.push(call);
    status(world.begin()).map(drop)
}

pub(crate) fn define(linker: &mut Linker<World>) -> Result<()> {
    log_and_time(linker)?;
    metrics(linker)?;
    maps(linker)?;
    properties(linker)?;
    flow(linker)?;
    wasi(linker)
}

fn log_and_time(linker: &mut Linker<World>) -> Result<()> {
    linker.func_wrap(ENV, "proxy_log", |mut guest: Guest<'_>, level: u32, at: u32, length: u32| -> Result<u32> {
        begin(&mut guest, "proxy_log")?;
        let text = read(&mut guest, at, length)?;
        guest.data_mut().log(level, &text);
        Ok(0)
    })?;
    linker.func_wrap(ENV, "proxy_get_current_time_nanoseconds", |mut guest: Guest<'_>, at: u32| -> Result<u32> {
        begin(&mut guest, "proxy_get_current_time_nanoseconds")?;
        if guest.data().switches.broken_clock {
            return Ok(INTERNAL_FAILURE);
        }
        let time = guest.data().time(false);
        write(&mut guest, at, &time.to_le_bytes())?;
        Ok(0)
    })?;
    linker.func_wrap(
        ENV,
        "proxy_set_tick_period_milliseconds",
        |mut guest: Guest<'_>, period: u32| -> Result<u32> {
            begin(&mut guest, "proxy_set_tick_period_milliseconds")?;
            status(guest.data_mut().set_tick_period(period))
        },
    )?;
    Ok(())
}

fn metrics(linker: &mut Linker<World>) -> Result<()> {
    linker.func_wrap(
        ENV,
        "proxy_define_metric",
        |mut guest: Guest<'_>, kind: u32, name: u32, length: u32, metric: u32| -> Result<u32> {
            begin(&mut guest, "proxy_define_metric")?;
            let name = read(&mut guest, name, length)?;
            match guest.data_mut().define_metric(kind, &name) {
                Ok(id) => {
                    write(&mut guest, metric, &id.to_le_bytes())?;
                    Ok(0)
                }
                Err(stop) => status(Err(stop)),
            }
        },
    )?;
    linker.func_wrap(ENV, "proxy_increment_metric", |mut guest: Guest<'_>, metric: u32, by: i64| -> Result<u32> {
        begin(&mut guest, "proxy_increment_metric")?;
        status(guest.data_mut().increment_metric(metric, by))
    })?;
    linker.func_wrap(ENV, "proxy_record_metric", |mut guest: Guest<'_>, metric: u32, value: u64| -> Result<u32> {
        begin(&mut guest, "proxy_record_metric")?;
        status(guest.data_mut().record_metric(metric, value))
    })?;
    Ok(())
}

fn maps(linker: &mut Linker<World>) -> Result<()> {
    linker.func_wrap(
        ENV,
        "proxy_get_buffer_bytes",
        |mut guest: Guest<'_>, buffer: u32, start: u32, length: u32, data: u32, size: u32| -> Result<u32> {
            begin(&mut guest, "proxy_get_buffer_bytes")?;
            let answer = guest.data().buffer(buffer, start, length);
            give(&mut guest, answer, data, size)
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_get_header_map_pairs",
        |mut guest: Guest<'_>, map: u32, data: u32, size: u32| -> Result<u32> {
            begin(&mut guest, "proxy_get_header_map_pairs")?;
            let answer = guest.data().header_pairs(map).map(Some);
            give(&mut guest, answer, data, size)
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_get_header_map_value",
        |mut guest: Guest<'_>, map: u32, key: u32, length: u32, data: u32, size: u32| -> Result<u32> {
            begin(&mut guest, "proxy_get_header_map_value")?;
            let key = read(&mut guest, key, length)?;
            let answer = guest.data().header(map, &key);
            give(&mut guest, answer, data, size)
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_replace_header_map_value",
        |mut guest: Guest<'_>, map: u32, key: u32, length: u32, value: u32, value_length: u32| -> Result<u32> {
            begin(&mut guest, "proxy_replace_header_map_value")?;
            let (key, value) = (read(&mut guest, key, length)?, read(&mut guest, value, value_length)?);
            status(guest.data_mut().replace_header(map, &key, &value))
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_remove_header_map_value",
        |mut guest: Guest<'_>, map: u32, key: u32, length: u32| -> Result<u32> {
            begin(&mut guest, "proxy_remove_header_map_value")?;
            let key = read(&mut guest, key, length)?;
            status(guest.data_mut().remove_header(map, &key))
        },
    )?;
    Ok(())
}

fn properties(linker: &mut Linker<World>) -> Result<()> {
    linker.func_wrap(
        ENV,
        "proxy_get_property",
        |mut guest: Guest<'_>, path: u32, length: u32, data: u32, size: u32| -> Result<u32> {
            begin(&mut guest, "proxy_get_property")?;
            let path = read(&mut guest, path, length)?;
            let answer = guest.data().property(&path);
            give(&mut guest, answer, data, size)
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_set_property",
        |mut guest: Guest<'_>, path: u32, length: u32, value: u32, value_length: u32| -> Result<u32> {
            begin(&mut guest, "proxy_set_property")?;
            let (path, value) = (read(&mut guest, path, length)?, read(&mut guest, value, value_length)?);
            status(guest.data_mut().set_property(&path, &value))
        },
    )?;
    Ok(())
}

fn flow(linker: &mut Linker<World>) -> Result<()> {
    linker.func_wrap(ENV, "proxy_set_effective_context", |mut guest: Guest<'_>, context: u32| -> Result<u32> {
        begin(&mut guest, "proxy_set_effective_context")?;
        status(guest.data_mut().set_effective_context(context))
    })?;
    linker.func_wrap(ENV, "proxy_continue_stream", |mut guest: Guest<'_>, stream: u32| -> Result<u32> {
        begin(&mut guest, "proxy_continue_stream")?;
        status(guest.data_mut().continue_stream(stream))
    })?;
    #[rustfmt::skip]
    linker.func_wrap(
        ENV,
        "proxy_send_local_response",
        |mut guest: Guest<'_>, code: u32, _details: u32, _details_length: u32, body: u32, body_length: u32,
         headers: u32, headers_length: u32, _grpc_status: i32| -> Result<u32> {
            begin(&mut guest, "proxy_send_local_response")?;
            let (body, headers) = (read(&mut guest, body, body_length)?, read(&mut guest, headers, headers_length)?);
            status(guest.data_mut().send_local_response(code, &headers, body))
        },
    )?;
    #[rustfmt::skip]
    linker.func_wrap(
        ENV,
        "proxy_http_call",
        |mut guest: Guest<'_>, upstream: u32, upstream_length: u32, headers: u32, headers_length: u32, body: u32,
         body_length: u32, _trailers: u32, _trailers_length: u32, timeout: u32, token: u32| -> Result<u32> {
            begin(&mut guest, "proxy_http_call")?;
            let upstream = read(&mut guest, upstream, upstream_length)?;
            let (headers, body) = (read(&mut guest, headers, headers_length)?, read(&mut guest, body, body_length)?);
            match guest.data_mut().http_call(&upstream, &headers, body, timeout) {
                Ok(name) => {
                    write(&mut guest, token, &name.to_le_bytes())?;
                    Ok(0)
                }
                Err(stop) => status(Err(stop)),
            }
        },
    )?;
    Ok(())
}

fn wasi(linker: &mut Linker<World>) -> Result<()> {
    linker.func_wrap(
        WASI,
        "clock_time_get",
        |mut guest: Guest<'_>, clock: u32, _precision: u64, at: u32| -> Result<u32> {
            let time = guest.data().time(clock == 1);
            write(&mut guest, at, &time.to_le_bytes())?;
            Ok(0)
        },
    )?;
    linker.func_wrap(WASI, "random_get", |mut guest: Guest<'_>, at: u32, length: u32| -> Result<u32> {
        let bytes = guest.data_mut().random_bytes(length as usize);
        write(&mut guest, at, &bytes)?;
        Ok(0)
    })?;
    linker.func_wrap(WASI, "environ_sizes_get", |mut guest: Guest<'_>, count: u32, size: u32| -> Result<u32> {
        let lines = environ(&guest);
        let total: usize = lines.iter().map(Vec::len).sum();
        write(&mut guest, count, &u32::try_from(lines.len())?.to_le_bytes())?;
        write(&mut guest, size, &u32::try_from(total)?.to_le_bytes())?;
        Ok(0)
    })?;
    linker.func_wrap(WASI, "environ_get", |mut guest: Guest<'_>, places: u32, text: u32| -> Result<u32> {
        let (mut place, mut at) = (places, text);
        for line in environ(&guest) {
            write(&mut guest, place, &at.to_le_bytes())?;
            write(&mut guest, at, &line)?;
            place += 4;
            at += u32::try_from(line.len())?;
        }
        Ok(0)
    })?;
    linker.func_wrap(
        WASI,
        "fd_write",
        |mut guest: Guest<'_>, fd: u32, parts: u32, count: u32, written: u32| -> Result<u32> {
            let mut text = Vec::new();
            for part in 0..count {
                let part = read(&mut guest, parts + 8 * part, 8)?;
                let (at, length) = part.split_at(4);
                let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
                text.extend(read(&mut guest, word(at), word(length))?);
            }
            write(&mut guest, written, &u32::try_from(text.len())?.to_le_bytes())?;
            guest.data_mut().log(if fd == 2 { 4 } else { 2 }, &text);
            Ok(0)
        },
    )?;
    linker.func_wrap(WASI, "proc_exit", |_: Guest<'_>, code: u32| -> Result<()> {
        Err(Error::msg(format!("the filter left with exit code {code}")))
    })?;
    Ok(())
}

fn environ(guest: &Guest<'_>) -> Vec<Vec<u8>> {
    guest.data().switches.env.iter().map(|(name, value)| format!("{name}={value}\0").into_bytes()).collect()
}
