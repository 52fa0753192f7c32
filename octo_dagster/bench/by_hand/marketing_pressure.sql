-- Marketing pressure with its default settings, as a careful person writes it for DuckDB.
with told as not materialized (
    select message_id, replace(replace(replace(lower(event_type), ' ', ''), '_', ''), '-', '') as kind
    from message_events where message_id is not null and occurred_at < date '$as_of' + 1),
heard as not materialized (
    select message_id,
           bool_or(kind in ('delivered', 'delivery', 'received', 'receivedemail', 'receivedsms', 'receivedpush')) as delivered,
           bool_or(kind in ('open', 'opens', 'opened', 'uniqueopened', 'firstopening', 'openedemail', 'openedpush')) as opened,
           bool_or(kind in ('machineopen', 'machineopened', 'proxyopen', 'uniqueproxyopen', 'loadedbyproxy')) as machine_opened,
           bool_or(kind in ('click', 'clicks', 'clicked', 'uniqueclicked', 'clickedemail', 'clickedsms')) as clicked,
           bool_or(kind in ('reply', 'replies', 'replied', 'answered', 'inbound')) as replied,
           bool_or(kind in ('redeem', 'redeemed', 'redemption', 'couponredeemed', 'converted', 'conversion')) as redeemed,
           bool_or(kind in ('unsubscribe', 'unsubscribes', 'unsubscribed', 'unsub', 'optout', 'optedout', 'groupunsubscribe',
               'unsubscribedfromemailmarketing', 'unsubscribedfromlist', 'unsubscribedfromsmsmarketing')) as unsubscribed,
           bool_or(kind in ('spam', 'complaint', 'complaints', 'complained', 'abuse', 'spamreport', 'markedemailasspam')) as complained,
           bool_or(kind in ('bounce', 'bounces', 'bounced', 'hardbounce', 'hardbounces', 'bouncedemail', 'blocked', 'dropped',
               'droppedemail', 'rejected', 'undelivered', 'invalid', 'failed')) as bounced,
           bool_or(kind not in (
               'delivered', 'delivery', 'received', 'receivedemail', 'receivedsms', 'receivedpush', 'open', 'opens', 'opened',
               'uniqueopened', 'firstopening', 'openedemail', 'openedpush', 'machineopen', 'machineopened', 'proxyopen',
               'uniqueproxyopen', 'loadedbyproxy', 'click', 'clicks', 'clicked', 'uniqueclicked', 'clickedemail', 'clickedsms',
               'reply', 'replies', 'replied', 'answered', 'inbound', 'redeem', 'redeemed', 'redemption', 'couponredeemed',
               'converted', 'conversion', 'unsubscribe', 'unsubscribes', 'unsubscribed', 'unsub', 'optout', 'optedout',
               'groupunsubscribe', 'unsubscribedfromemailmarketing', 'unsubscribedfromlist', 'unsubscribedfromsmsmarketing',
               'spam', 'complaint', 'complaints', 'complained', 'abuse', 'spamreport', 'markedemailasspam', 'bounce', 'bounces',
               'bounced', 'hardbounce', 'hardbounces', 'bouncedemail', 'blocked', 'dropped', 'droppedemail', 'rejected',
               'undelivered', 'invalid', 'failed')) as other
    from told group by message_id),
named as not materialized (
    select customer_id, sent_at, message_id, date_diff('day', sent_at::date, date '$as_of') as age,
           case replace(replace(replace(lower(channel), ' ', ''), '_', ''), '-', '')
               when 'email' then 'email' when 'newsletter' then 'email'
               when 'sms' then 'sms' when 'mms' then 'sms' when 'textmessage' then 'sms' when 'whatsapp' then 'sms'
               when 'letter' then 'letter' when 'mail' then 'letter' when 'post' then 'letter' when 'postal' then 'letter'
               when 'directmail' then 'letter' when 'courrier' then 'letter'
               when 'push' then 'push' when 'webpush' then 'push' when 'apppush' then 'push' when 'mobilepush' then 'push'
               when 'call' then 'call' when 'phone' then 'call' when 'telephone' then 'call' when 'appel' then 'call'
               else 'other' end as channel
    from messages where sent_at < date '$as_of' + 1),
sent as not materialized (
    select customer_id, age, channel, delivered, opened, machine_opened, clicked, replied, redeemed, unsubscribed, complained,
           bounced, other,
           coalesce(not bounced or delivered or opened or machine_opened or clicked or replied or redeemed, true) as arrived,
           coalesce(arrived and (opened or clicked or replied or redeemed), false) as returned,
           floor(exp(age * (-ln(2) / 90)) * 1000000 + 0.5)::bigint as weight
    from named left join heard using (message_id)),
lately as (
    select customer_id,
           count(*) filter (arrived and age < 7) as n7,
           count(*) filter (arrived and age < 7 and channel = 'email') as e7,
           count(*) filter (arrived and age < 7 and channel = 'sms') as s7,
           count(*) filter (arrived and age < 7 and channel = 'letter') as l7,
           count(*) filter (arrived and age < 7 and channel = 'push') as p7,
           count(*) filter (arrived and age < 7 and channel = 'call') as c7,
           count(*) filter (arrived and age < 7 and channel = 'other') as o7,
           count(*) filter (arrived and age < 28) as n28,
           count(*) filter (arrived and age < 28 and channel = 'email') as e28,
           count(*) filter (arrived and age < 28 and channel = 'sms') as s28,
           count(*) filter (arrived and age < 28 and channel = 'letter') as l28,
           count(*) filter (arrived and age < 28 and channel = 'push') as p28,
           count(*) filter (arrived and age < 28 and channel = 'call') as c28,
           count(*) filter (arrived and age < 28 and channel = 'other') as o28,
           count(*) filter (arrived) as n90,
           count(*) filter (arrived and channel = 'email') as e90,
           count(*) filter (arrived and channel = 'sms') as s90,
           count(*) filter (arrived and channel = 'letter') as l90,
           count(*) filter (arrived and channel = 'push') as p90,
           count(*) filter (arrived and channel = 'call') as c90,
           count(*) filter (arrived and channel = 'other') as o90,
           count(*) filter (delivered) as delivered, count(*) filter (opened) as opened,
           count(*) filter (machine_opened) as machine_opened, count(*) filter (clicked) as clicked,
           count(*) filter (replied) as replied, count(*) filter (redeemed) as redeemed,
           count(*) filter (unsubscribed) as unsubscribed, count(*) filter (complained) as complained,
           count(*) filter (bounced) as bounced, count(*) filter (other) as other,
           count(*) filter (returned) as returned90
    from sent where age < 90 group by customer_id),
ever as (
    select customer_id, count(*) filter (arrived) as n, count(*) filter (returned) as r,
           sum(weight) filter (arrived) as wn, sum(weight) filter (returned) as wr
    from sent group by customer_id),
summed as (select * from ever left join lately using (customer_id)),
alone as (
    select e.customer_id, count(*) as alone
    from message_events e left join messages m on m.message_id = e.message_id
    where m.message_id is null and e.occurred_at >= date '$as_of' - 89 and e.occurred_at < date '$as_of' + 1
    group by e.customer_id),
contacts as (
    select c.customer_id, summed.* exclude (customer_id, n, r, wn, wr), coalesce(alone, 0) as alone,
           coalesce(n, 0) as n, coalesce(r, 0) as r, coalesce(wn, 0)::bigint as wn, coalesce(wr, 0)::bigint as wr,
           coalesce(nullif(concat_ws(', ', case when email_consent then 'email' end, case when sms_consent then 'sms' end,
                                     case when call_consent then 'call' end), ''), 'none') as consent
    from customers c left join summed using (customer_id) left join alone using (customer_id)
    where summed.customer_id is not null
       or (coalesce(c.created_at < date '$as_of' + 1, true)
           and (coalesce(email_consent, false) or coalesce(sms_consent, false) or coalesce(call_consent, false)))),
base as (
    select count(*) filter (n > 0)::double as people, sum(n)::double as all_n, sum(r)::double / nullif(sum(n)::double, 0) as p,
           sum(wr)::double / nullif(sum(wn)::double, 0) as average, sum(n * n)::double as squares
    from contacts),
spread as (
    select sum(floor(n::double * (r::double / n - p) * (r::double / n - p) * 1000000 + 0.5)::bigint)::double as spread
    from contacts, base where n > 0),
beyond as (
    select *, (spread / 1000000 / nullif(p * (1 - p), 0) - (people - 1))
              / nullif(all_n - squares / nullif(all_n, 0) - (people - 1), 0) as differ
    from base, spread),
shrinkage as (
    select average, case when people < 500 then 5 when differ * 1001 <= 1 then 1000 when 1 / nullif(differ, 0) - 1 < 1 then 1
                         else coalesce(1 / nullif(differ, 0) - 1, 1000) end::double as k
    from beyond),
pressed as (
    select *, coalesce(100 * e28 + 300 * s28 + 500 * l28 + 50 * p28 + 1000 * c28 + 100 * o28, 0) as pressure,
           case when n > 0 then floor((wr + 1000000 * k * average) / (wn + 1000000 * k) * 10000 + 0.5)::bigint end as rate
    from contacts, shrinkage),
placed as (
    select *, 2 * (rank() over (partition by consent order by pressure) - 1)
              + count(*) over (partition by consent, pressure) as doubled,
           count(*) over (partition by consent) as fellows
    from pressed)
select customer_id,
       coalesce(n7, 0) as messages_7d, coalesce(e7, 0) as messages_email_7d, coalesce(s7, 0) as messages_sms_7d,
       coalesce(l7, 0) as messages_letter_7d, coalesce(p7, 0) as messages_push_7d, coalesce(c7, 0) as messages_call_7d,
       coalesce(o7, 0) as messages_other_7d,
       coalesce(n28, 0) as messages_28d, coalesce(e28, 0) as messages_email_28d, coalesce(s28, 0) as messages_sms_28d,
       coalesce(l28, 0) as messages_letter_28d, coalesce(p28, 0) as messages_push_28d, coalesce(c28, 0) as messages_call_28d,
       coalesce(o28, 0) as messages_other_28d,
       coalesce(n90, 0) as messages_90d, coalesce(e90, 0) as messages_email_90d, coalesce(s90, 0) as messages_sms_90d,
       coalesce(l90, 0) as messages_letter_90d, coalesce(p90, 0) as messages_push_90d, coalesce(c90, 0) as messages_call_90d,
       coalesce(o90, 0) as messages_other_90d,
       coalesce(delivered, 0) as responses_delivered_90d, coalesce(opened, 0) as responses_opened_90d,
       coalesce(machine_opened, 0) as responses_machine_opened_90d, coalesce(clicked, 0) as responses_clicked_90d,
       coalesce(replied, 0) as responses_replied_90d, coalesce(redeemed, 0) as responses_redeemed_90d,
       coalesce(unsubscribed, 0) as responses_unsubscribed_90d, coalesce(complained, 0) as responses_complained_90d,
       coalesce(bounced, 0) as responses_bounced_90d, coalesce(other, 0) as responses_other_90d,
       coalesce(returned90, 0) as messages_returned_90d, alone as events_alone_90d,
       rate::decimal(18, 0) * 0.0001 as response_rate,
       pressure::decimal(18, 0) * 0.01 as pressure_28d,
       100 * doubled // (2 * fellows) as pressure_percentile,
       case when 100 * doubled < 40 * fellows then 'under' when 100 * doubled > 160 * fellows then 'over' else 'normal' end
           as pressure_position,
       consent as pressure_consent
from placed order by customer_id
