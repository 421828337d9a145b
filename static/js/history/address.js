// The page's address: what is asked of the list, as webapp.services.history.Asked has it.
import { island } from "../text.js";

export const asked = island("asked");

const PARTS = ["where", "text", "sort", "columns", "size", "database"];

// An address with the signs that it can bear as they are.
export const readable = (url) => String(url).replace(/%(2C|3A|2F|40|3D|28|29|7E)/g, (sign) => decodeURIComponent(sign));

// The address of the first page of what is asked, with *changes*.
export function address(changes = {}) {
  const now = { ...asked, ...changes };
  const given = PARTS.filter((name) => String(now[name] ?? "") !== String(asked.usual[name] ?? ""));
  const kept = (text) => encodeURIComponent(text).replaceAll("%20", "+");
  return given.length ? readable(`?${given.map((name) => `${name}=${kept(now[name])}`).join("&")}`) : location.pathname;
}

export function go(changes) {
  location.assign(address(changes));
}

// What addresses of other answers say of the database that is shown.
export const database = asked.database ? `&database=${encodeURIComponent(asked.database)}` : "";

export const token = () => document.querySelector("input[name='csrf_token']").value;
