-- A made-up shop of $customers customers and $products products, ten orders and 25 lines each, the same at every run: customers
-- buy unevenly, mostly among a hundred products near to them, popular products more; 20 messages a year.
create table customers as
    select 'c' || i as customer_id, 'c' || i || '@example.com' as email, null::varchar as phone,
        null::varchar as first_name, null::varchar as last_name, ['FR', 'DE', 'IT'][1 + cast(hash(i, 40) % 3 as integer)] as country,
        null::varchar as postal_code, null::date as birth_date,
        timestamp '2021-01-01' + to_seconds(cast(hash(i, 41) % 157680000 as bigint)) as created_at,
        hash(i, 42) % 10 < 7 as email_consent, hash(i, 43) % 10 < 4 as sms_consent, hash(i, 44) % 10 < 6 as call_consent
    from range($customers) t(i);
create table products as
    select 'p' || i as product_id, 'Product ' || i as name, 'category ' || (i // 70) as category,
        'brand ' || hash(i, 50) % 500 as brand, null::varchar as description,
        'https://shop.example/' || i || '.jpg' as image_url, 'https://shop.example/' || i as url,
        cast(hash(i, 51) % 20000 / 100 as decimal(18, 2)) as price, hash(i, 52) % 50 <> 0 as in_stock,
        timestamp '2019-01-01' + to_days(cast(hash(i, 53) % 2500 as integer)) as created_at
    from range($products) t(i);
create table stores as
    select 's' || i as store_id, 'Store ' || i as name, null::varchar as city, i = 0 as is_online from range(40) t(i);
create table orders as
    select 'o' || i as order_id,
        case when hash(i, 1) % 100 >= 4
            then 'c' || cast(floor($customers * pow(hash(i, 2) % 1000000000 / 1e9, 1.2)) as bigint) end as customer_id,
        timestamp '2021-01-01' + to_seconds(cast(hash(i, 3) % 157680000 as bigint)) as ordered_at,
        case hash(i, 4) % 50 when 0 then 'cancelled' when 1 then 'returned' else 'completed' end as status,
        cast(case when hash(i, 4) % 50 = 1 then -1 else 1 end * (1 + hash(i, 5) % 20000) / 100 * 1.25 as decimal(18, 2)) as gross_amount,
        cast(case when hash(i, 4) % 50 = 1 then -1 else 1 end * (1 + hash(i, 5) % 20000) / 100 * 0.25 as decimal(18, 2)) as discount_amount,
        cast(case when hash(i, 4) % 50 = 1 then -1 else 1 end * (1 + hash(i, 5) % 20000) / 100 as decimal(18, 2)) as net_amount,
        'EUR' as currency, 's' || hash(i, 6) % 40 as store_id, 'web' as channel
    from range(10 * $customers) t(i);
update orders set gross_amount = net_amount, discount_amount = 0 where hash(order_id, 7) % 3 <> 0;
create table order_lines as
    select 'o' || (i // 5 * 2 + (i % 5) // 3) as order_id, i as line_no,
        'p' || cast(case when hash(i, 20) % 10 < 7
            then (coalesce(hash('c' || cast(floor($customers * pow(hash(i // 5 * 2 + (i % 5) // 3, 2) % 1000000000 / 1e9, 1.2)) as bigint), 21), 0) % ($products // 100)) * 100
                + cast(floor(100 * pow(hash(i, 22) % 1000000 / 1e6, 2)) as bigint)
            else cast(floor($products * pow(hash(i, 23) % 1000000 / 1e6, 3)) as bigint) end as bigint) as product_id,
        cast(1 + hash(i, 24) % 3 as decimal(18, 3)) as quantity,
        cast(10 as decimal(18, 2)) as gross_amount, cast(0 as decimal(18, 2)) as discount_amount,
        cast(10 as decimal(18, 2)) as net_amount, hash(i, 25) % 100 = 0 as is_return
    from range(25 * $customers) t(i);
create table messages as
    select 'm' || i as message_id, 'c' || hash(i, 30) % $customers as customer_id,
        ['email', 'email', 'email', 'sms', 'mail', 'push'][1 + cast(hash(i, 31) % 6 as integer)] as channel, 'k' || hash(i, 32) % 100 as campaign_id,
        timestamp '2025-01-01' + to_seconds(cast(hash(i, 33) % 31536000 as bigint)) as sent_at
    from range(20 * $customers) t(i);
create table message_events as
    select 'e' || message_id as event_id, message_id, customer_id, channel,
        ['opened', 'opened', 'opened', 'clicked', 'clicked', 'unsubscribed'][1 + cast(hash(message_id, 34) % 6 as integer)] as event_type,
        sent_at + interval 1 hour as occurred_at
    from messages where hash(message_id, 35) % 4 = 0;
