// Distances on the earth.

/** Degrees, WGS 84. */
interface Position {
  readonly latitude: number;
  readonly longitude: number;
}

/** IUGG mean radius. */
const EARTH_RADIUS_KM = 6371.0088;

/** Great-circle distance (haversine formula: exact enough also for nearby points). */
export function distanceKm(a: Position, b: Position): number {
  const latitude = radians(b.latitude - a.latitude) / 2;
  const longitude = radians(b.longitude - a.longitude) / 2;
  const h =
    Math.sin(latitude) ** 2 + Math.cos(radians(a.latitude)) * Math.cos(radians(b.latitude)) * Math.sin(longitude) ** 2;
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(h)));
}

function radians(degrees: number): number {
  return (degrees * Math.PI) / 180;
}
