/** Five calls with the generated TypeScript client; it is compiled together with the client. */
import assert from "node:assert/strict";
import { connect, type components } from "./index.js";

type Device = components["schemas"]["Device"];
const [url, key] = process.argv.slice(2);
assert(url && key);
const client = connect(url, key);

const devices = await client.GET("/v1/devices", { params: { query: { per_page: 100 } } });
const first: Device | undefined = devices.data?.items.find((device) => device.status === "online");
assert(first?.id);
const path = { device_id: first.id };

const device = await client.GET("/v1/devices/{device_id}", { params: { path } });
assert.equal(device.data?.id, first.id);

const command = await client.POST("/v1/devices/{device_id}/commands", { params: { path }, body: { name: "power_on" } });
assert.equal(command.data?.name, "power_on");

const stranger = connect(url, "");
const refused = await stranger.GET("/v1/devices/{device_id}", { params: { path } });
assert.equal(refused.response.status, 401);
assert.equal(refused.error?.error, "missing_xyte_key");

const space = device.data?.space?.id;
assert(space);
const here = await client.GET("/v1/devices", { params: { query: { space_id: space } } });
assert(here.data);
assert(here.data.items.some((one) => one.id === first.id));
assert(here.data.items.length < (devices.data?.items.length ?? 0));
console.log("5 calls");
