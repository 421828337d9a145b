// What addresses of other answers say of the database that the page's run is in: {database}, or nothing.
const name = new URLSearchParams(location.search).get("database");

export const database = name ? { database: name } : {};
