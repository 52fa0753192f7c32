with categories as (
    select customer_id, string_agg(replace(category, '|', '/'), ' | ' order by rank) as recommended_categories
    from category_recommendations where rank <= 3 group by customer_id)
select customer_id,
       string_agg(product_id, ', ' order by rank) as recommended_product_ids,
       string_agg(replace(coalesce(name, product_id), '|', '/'), ' | ' order by rank) as recommended_product_names,
       string_agg(replace(reason_text, '|', '/'), ' | ' order by rank) as recommended_product_reasons,
       any_value(recommended_categories) as recommended_categories
from recommendations left join products using (product_id) left join categories using (customer_id)
where list = 'discover' and rank <= 5 and date '$as_of' is not null
group by customer_id order by customer_id
