-- The three categories with most purchases, each with their number; between equals the one bought last.
with baskets as (
    select distinct order_id, category
    from order_lines join products using (product_id)
    where not coalesce(is_return, false) and (quantity is null or quantity > 0) and category is not null),
counts as (
    select customer_id, category, count(*) as n, max(ordered_at) as last_at
    from baskets join orders using (order_id)
    where customer_id is not null and status = 'completed' and net_amount > 0
      and ordered_at < date '$as_of' + 1
    group by all)
select customer_id,
       max(category) filter (place = 1) as favorite_category_1,
       max(category) filter (place = 2) as favorite_category_2,
       max(category) filter (place = 3) as favorite_category_3,
       max(n) filter (place = 1) as favorite_category_1_orders,
       max(n) filter (place = 2) as favorite_category_2_orders,
       max(n) filter (place = 3) as favorite_category_3_orders
from (select *, row_number() over (partition by customer_id order by n desc, last_at desc, category) as place
      from counts qualify place <= 3)
group by customer_id
order by customer_id
