// Places an order with the client that openapi-typescript and openapi-fetch make.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };

const baseUrl = process.argv[2]!;
const nobody = createClient<paths>({ baseUrl });
const session = await nobody.POST("/api/v1/auth/demo", { body: { role: "customer" } });
if (!session.data) throw new Error(session.error.detail);
const headers = { Authorization: `Bearer ${session.data.access_token}` };
const api = createClient<paths>({ baseUrl, headers });

const found = await api.GET("/api/v1/restaurants", { params: { query: { limit: 1 } } });
const { id } = found.data!.items[0]!;
const restaurant = await api.GET("/api/v1/restaurants/{id}", { params: { path: { id } } });
const dish = restaurant.data!.menu.find((one) => one.available)!;

// What is optional is left out: neither notes nor an Idempotency-Key.
const basket: components["schemas"]["PlaceOrder"] = {
  restaurant_id: id,
  items: [{ menu_item_id: dish.id, quantity: 2 }],
  address: { text: "1 Test Lane", lat: 47.07, lng: 15.44 },
};
const placed = await api.POST("/api/v1/orders", { body: basket });
if (!placed.data) throw new Error(placed.error.detail);
const total: number = placed.data.total_cents;
const note: string | undefined = placed.data.note;

// A change leaves out what stays, and null empties.
const me = await api.PATCH("/api/v1/me", { body: { phone: null } });
const name: string = me.data!.name;

console.log(JSON.stringify({ status: placed.data.status, total, dish: dish.price_cents, note, name }));
