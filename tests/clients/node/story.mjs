// What a Node program does in Databricks: `story.mjs sdk list|run JOB [big]` with the SDK, `story.mjs sql QUERY` with the SQL driver.
// It prints one JSON object: what came, or the error as this client shows it.

import { readFileSync } from "node:fs";
import process from "node:process";

const host = process.env.DATABRICKS_HOST;
const token = process.env.DATABRICKS_TOKEN;

async function sdk([what, job, big]) {
  const { Config, WorkspaceClient } = await import("@databricks/sdk-experimental");
  const retryTimeoutSeconds = Number(process.env.RETRY_SECONDS ?? 0) || undefined;
  const authType = process.env.AUTH_TYPE ?? "pat";
  const client = new WorkspaceClient(new Config({ host, token, authType, retryTimeoutSeconds }));
  if (what === "list") {
    const found = [];
    for await (const one of client.jobs.list({})) found.push(one.job_id);
    return found;
  }
  const started = await client.jobs.runNow({
    job_id: Number(job),
    ...(big && { notebook_params: { x: "y".repeat(70_000) } }),
  });
  return (await started.wait()).state.result_state;
}

async function sql([query, ...more]) {
  const { DBSQLClient } = await import("@databricks/sql");
  const client = new DBSQLClient();
  const options = { host: new URL(host).hostname, path: process.env.HTTP_PATH, telemetryEnabled: false };
  const patience = Number(process.env.RETRY_SECONDS ?? 0);
  if (patience) options.retriesTimeout = patience * 1000;
  if (more.includes("kernel")) {
    // its TLS is not Node's
    Object.assign(options, { useKernel: true, customCaCert: readFileSync(process.env.NODE_EXTRA_CA_CERTS) });
  }
  await client.connect({ ...options, ...(process.env.SIGN_IN ? { authType: "databricks-oauth" } : { token }) });
  try {
    const session = await client.openSession();
    const operation = await session.executeStatement(query, { useCloudFetch: more.includes("cloudfetch") });
    const rows = await operation.fetchAll();
    await operation.close();
    await session.close();
    return rows.map((row) => Object.values(row));
  } finally {
    await client.close();
  }
}

function shown(error) {
  return {
    type: error.constructor.name,
    message: error.message,
    code: error.errorCode ?? error.code,
    status: error.statusCode ?? error.response?.statusCode,
    text: String(error.response?.body ?? "").slice(0, 500),
  };
}

const [kind, ...args] = process.argv.slice(2);
try {
  process.stdout.write(JSON.stringify({ ok: await (kind === "sdk" ? sdk(args) : sql(args)) }) + "\n");
} catch (error) {
  process.stdout.write(JSON.stringify({ error: shown(error) }) + "\n");
}
process.exit(0);
