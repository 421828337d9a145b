// The list of runs: what makes filters and columns by clicking, and rows that follow what is stored.
import "./filters.js";
import "./columns.js";
import "./live.js";
import "./many.js";
