terraform {
  required_providers {
    databricks = {
      source = "databricks/databricks"
    }
  }
}

# the host and the token are in the environment, as docs/clients.md has it for the CLI
provider "databricks" {}

variable "owner" {
  type = string
}

variable "workers" {
  type    = number
  default = 1
}

variable "grants" {
  type    = bool
  default = false
}

resource "databricks_cluster_policy" "small" {
  name       = "small"
  definition = jsonencode({ num_workers = { type = "fixed", value = var.workers } })
}

resource "databricks_job" "nightly" {
  name = "nightly-${var.workers}"

  task {
    task_key            = "load"
    existing_cluster_id = "0923-164208-meows279"

    notebook_task {
      notebook_path = "/Workspace/Users/${var.owner}/load"
    }
  }
}

# changes who may do what: sensitive, so a rule would have to name it
resource "databricks_grants" "sales" {
  count  = var.grants ? 1 : 0
  schema = "main.sales"

  grant {
    principal  = "everybody"
    privileges = ["SELECT"]
  }
}
