import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
const origin = { port: 5173, strictPort: true }; // one that the shop lets in without being told
export default defineConfig({ plugins: [react()], server: origin, preview: origin });
