import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { SHOP } from "./shop";

const root = createRoot(document.getElementById("root")!);
try {
  const { App } = await import("./App");
  root.render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
} catch (error) {
  root.render(
    <p role="alert">
      The shop at {SHOP} does not answer ({String(error)}). Does it run? Does CORS_ORIGINS name {location.origin}?
    </p>,
  );
}
