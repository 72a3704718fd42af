{{ config(materialized="incremental", unique_key="id") }}
select o.id, sum(o.amount) as amount
from {{ ref("orders") }} o join {{ ref("customers") }} c on c.id = o.id
group by o.id
