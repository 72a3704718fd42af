-- Databricks' two system tables with the columns that their reference documents (read in November 2026, long lists of measures left out).
-- Run as Databricks SQL by the tests, like the documents' own statements.
CREATE TABLE system.access.audit (
  account_id STRING,
  workspace_id STRING,
  version STRING,
  event_time TIMESTAMP,
  event_date DATE,
  source_ip_address STRING,
  user_agent STRING,
  session_id STRING,
  user_identity STRUCT<email: STRING, subject_name: STRING>,
  service_name STRING,
  action_name STRING,
  request_id STRING,
  request_params MAP<STRING, STRING>,
  response STRUCT<status_code: INT, error_message: STRING, result: STRING>,
  audit_level STRING,
  event_id STRING,
  identity_metadata STRUCT<run_by: STRING, run_as: STRING>
);

CREATE TABLE system.query.history (
  account_id STRING,
  workspace_id STRING,
  statement_id STRING,
  session_id STRING,
  execution_status STRING,
  compute STRUCT<type: STRING, cluster_id: STRING, warehouse_id: STRING>,
  executed_by_user_id STRING,
  executed_by STRING,
  statement_text STRING,
  statement_type STRING,
  error_message STRING,
  client_application STRING,
  client_driver STRING,
  start_time TIMESTAMP,
  end_time TIMESTAMP,
  update_time TIMESTAMP,
  executed_as_user_id STRING,
  executed_as STRING
);
