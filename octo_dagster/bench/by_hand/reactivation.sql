with last_contacts as (
    select customer_id, cast(max(sent_at) as date) as contacted_on from messages
    where regexp_replace(lower(channel), '[ _-]', '', 'g') in (
            'call', 'phone', 'telephone', 'appel', 'letter', 'mail', 'post', 'postal', 'directmail', 'courrier') and sent_at < date '$as_of' + 1 group by 1),
refusals as (
    select distinct customer_id from message_events
    where regexp_replace(lower(event_type), '[ _-]', '', 'g') in (
            'unsubscribe', 'unsubscribes', 'unsubscribed', 'unsub', 'optout', 'optedout', 'groupunsubscribe',
            'unsubscribedfromemailmarketing', 'unsubscribedfromlist', 'unsubscribedfromsmsmarketing', 'spam',
            'complaint', 'complaints', 'complained', 'abuse', 'spamreport', 'markedemailasspam')
      and occurred_at < date '$as_of' + 1),
found as (
    select customer_id, rfm_recency_days, rfm_recency <= 2 as gone, coalesce(rfi_ratio >= 2, false) as late,
           gone or late as passive, passive and rfm_frequency_monetary >= 5 as big,
           case when passive then cast(rfm_revenue * rfm_orders as decimal(20, 2)) end as priority,
           least(cast(coalesce(rfi_ratio, 0) * 10000 as bigint), 1000000000) as units,
           1600000000 + units * units as spent,
           cast(priority * (cast(1600000000000000000 // spent as decimal(18, 0)) * 0.000000001)
                as decimal(20, 2)) as adjusted,
           contacted_on,
           case when not big then null
                when not call_consent then 'refuses calls'
                when call_consent is null then 'never asked about calls'
                when refusals.customer_id is not null then 'unsubscribed'
                when date_diff('day', contacted_on, date '$as_of') < 90 then 'called or written to lately'
                end as reason
    from rfm left join rhythm using (customer_id) left join customers using (customer_id)
    left join last_contacts using (customer_id) left join refusals using (customer_id)),
ranked as (
    select *, case when big and reason is null then rank() over (
        partition by big and reason is null order by priority desc, rfm_recency_days) end as place
    from found)
select customer_id,
       case when big then 'Big passive customers' when passive then 'Small passive customers' end
           as passive_segment,
       case when gone and late then 'recency and rhythm' when gone then 'recency' when late then 'rhythm' end
           as passive_because,
       big as is_big_passive, passive and not big as is_small_passive,
       priority as reactivation_priority, adjusted as reactivation_priority_adjusted,
       place as reactivation_rank, coalesce(place <= 100, false) as is_in_top,
       reason as reactivation_excluded_because, contacted_on as reactivation_last_contact_on
from ranked
